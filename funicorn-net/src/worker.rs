//! How does a worker live? [`Worker::run`] starts its threads, serves until it is told to stop, and ends them.
//!
//! The calling thread is application thread 0, or, if the service wants it so and there are several, the one that attends to it:
//! see [`attention`](crate::attention).

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use funicorn_http::{Service, StartedThread, ThreadEnd};

use crate::call::Call;
use crate::config::WorkerConfig;
use crate::control::Control;
use crate::descriptors::affordable_connections;
use crate::fork_guard;
use crate::io::{Holder, Io, LAST_GRACE, Step};
use crate::listener::Listener;
use crate::observer::Observer;
use crate::poller::Poller;
use crate::rights::{Duty, Next, QUICK};
use crate::shared::Shared;
use crate::sync::thread;

/// The stack of an application thread that the service does not start itself: what the system gives to a program's main thread,
/// since the code that runs on it may count on that.
const STACK: usize = 8 << 20;

/// One server in one process: listeners, connections, and the threads that call the service.
pub struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    /// Prepares to serve `service` on `listeners` until `control` gives an order; `observer` hears of each exchange.
    ///
    /// Make it in the process that will run it: a poller must not cross a fork.
    ///
    /// # Errors
    /// When the kernel has no descriptors or memory for a poller.
    pub fn new(
        listeners: Vec<Listener>,
        service: Arc<dyn Service>,
        mut config: WorkerConfig,
        control: Control,
        observer: Option<Arc<dyn Observer>>,
    ) -> io::Result<Self> {
        fork_guard::arm();
        config.limits.connections = affordable_connections(config.limits.connections);
        let shared = Arc::new(Shared::new(service, config, observer, Poller::new()?, control.handle())?);
        let io = Io::new(listeners, control, &shared)?;
        shared.rights.offer(Box::new(io));
        Ok(Self { shared })
    }

    /// Serves on the calling thread, and as many more as are configured, until the worker has stopped.
    ///
    /// With several threads and a service that [attends apart](Service::attends_apart) the calling thread calls nothing, and one more is
    /// started in its place.
    ///
    /// Returns when every thread has ended. If one does not come back from its call in time, the process ends instead:
    /// there is no way to stop a thread from outside.
    ///
    /// # Errors
    /// When a thread cannot be started; nothing has been served then.
    pub fn run(self) -> io::Result<()> {
        let Self { shared } = self;
        let understudy = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("understudy".to_owned()).spawn(move || understudy(&shared))?
        };
        let started = start_threads(&shared);
        let threads = match started {
            Ok(threads) => threads,
            Err(error) => {
                shared.stop();
                let _ = understudy.join();
                return Err(error);
            }
        };
        if shared.attention.is_apart() {
            attend(&shared);
        } else {
            application_thread(&shared);
        }
        threads.into_iter().for_each(|wait_for_end| wait_for_end());
        // A panic was logged where it happened.
        let _ = understudy.join();
        Ok(())
    }
}

/// Starts the application threads; the calling thread counts as one unless it attends apart. Returns what waits for the end of each.
///
/// # Errors
/// When there would be none.
fn start_threads(shared: &Arc<Shared>) -> io::Result<Vec<ThreadEnd>> {
    let mut threads = Vec::new();
    let calls_itself = usize::from(!shared.attention.is_apart());
    let wanted = shared.config.threads.max(1);
    (0..calls_itself).for_each(|_| shared.rights.thread_starts());
    while calls_itself + threads.len() < wanted {
        shared.rights.thread_starts();
        match start_thread(threads.len() + 1, shared) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                shared.rights.thread_ended();
                let number = calls_itself + threads.len();
                if number == 0 {
                    return Err(error);
                }
                log::error!("only {number} of {wanted} threads could be started: {error}");
                break;
            }
        }
    }
    Ok(threads)
}

fn start_thread(number: usize, shared: &Arc<Shared>) -> io::Result<ThreadEnd> {
    let name = format!("application-{number}");
    let for_thread = Arc::clone(shared);
    match shared.service.start_thread(&name, Box::new(move || application_thread(&for_thread)))? {
        StartedThread::Running(wait_for_end) => Ok(wait_for_end),
        StartedThread::Ordinary(life) => {
            let handle = thread::Builder::new().name(name).stack_size(STACK).spawn(life)?;
            // A panic was logged where it happened.
            Ok(Box::new(move || drop(handle.join())))
        }
    }
}

/// What the calling thread does while others call: it attends to the service, until the worker has stopped.
fn attend(shared: &Shared) {
    while !shared.rights.has_stopped() {
        shared.attention.wait();
        shared.attend();
    }
}

/// Ends the process without ceremony; the last resort against threads that do not come back.
pub(crate) fn end_process(why: &str) -> ! {
    log::error!("the worker ends at once: {why}");
    log::logger().flush();
    fork_guard::exit_process(1)
}

fn application_thread(shared: &Arc<Shared>) {
    shared.service.thread(&mut || do_duties(shared));
    shared.rights.thread_ended();
}

/// What an application thread is about to do.
enum Begun {
    /// A call from the loop. The role is lent; `timed` says whether the call's time is wanted.
    Inline { call: Box<Call>, timed: bool },
    /// A call from the queue.
    Queued(Box<Call>),
    /// To attend to the service. The role is lent.
    Attend,
    /// To wait with the role, once the service has let go.
    Idle(Box<Io>),
    /// The role has gone elsewhere.
    Nothing,
    /// The worker has stopped.
    End,
}

/// The life of an application thread: hold the I/O role and call inline, or run queued calls, or wait for either.
///
/// The role never waits for the interpreter: another call may keep it, and must not keep the role with it. So the role is held attached only
/// as long as there is something to do and no other call is running; to wait, the thread lets go, and it lends the role before it
/// attaches for a call.
fn do_duties(shared: &Arc<Shared>) {
    let mut duty = None;
    loop {
        let mut begun = match duty.take().or_else(|| shared.rights.duty()) {
            Some(duty) if shared.in_flight() == 0 => begin(duty, Holder::Application, shared),
            known => detached(known, shared),
        };
        if let Begun::Idle(io) = begun {
            begun = detached(Some(Duty::Io(io, None)), shared);
        }
        duty = match begun {
            Begun::Inline { call, timed } => run_inline(call, timed, shared),
            Begun::Queued(call) => {
                run_queued(call, shared);
                None
            }
            Begun::Attend => {
                shared.attend();
                shared.rights.reclaim(None)
            }
            // It has let go, and so would not have said that; but the role must never be dropped.
            Begun::Idle(io) => {
                shared.rights.yield_role(io);
                None
            }
            Begun::Nothing => None,
            Begun::End => return,
        };
    }
}

/// Begins a duty, or waits for one, while the service lets go.
fn detached(duty: Option<Duty>, shared: &Arc<Shared>) -> Begun {
    let mut duty = duty;
    let mut begun = Begun::Nothing;
    shared.blocking(|| {
        let wait = || shared.rights.wait_for_duty(|| shared.wake_waiting());
        begun = begin(duty.take().unwrap_or_else(wait), Holder::DetachedApplication, shared);
    });
    begun
}

/// Does what is to be done before the next call. With the role that is the loop; a call that has waited goes first.
fn begin(duty: Duty, holder: Holder, shared: &Arc<Shared>) -> Begun {
    let (io, call) = match duty {
        Duty::End => return Begun::End,
        Duty::Call(call) => return Begun::Queued(call),
        Duty::Io(mut io, Some(call)) => {
            io.glance_if_due(shared);
            (io, call)
        }
        Duty::Io(mut io, None) => loop {
            if shared.attention.is_due_between_calls() {
                lend(io, shared);
                return Begun::Attend;
            }
            match io.next(shared, holder) {
                Step::Call(call) => break (io, call),
                Step::Idle if holder == Holder::Application => return Begun::Idle(io),
                Step::Idle => match watch(io, shared) {
                    Some(back) => io = back,
                    None => return Begun::Nothing,
                },
                // Only the understudy is told so.
                Step::Yield => {
                    shared.rights.yield_role(io);
                    return Begun::Nothing;
                }
                Step::Stopped => {
                    shared.stop();
                    // The watcher is to end too.
                    shared.poller.wake();
                    return Begun::Nothing;
                }
            }
        },
    };
    Begun::Inline { call, timed: lend(io, shared) }
}

/// Lends the role for the time of a call. Returns whether that time is wanted.
fn lend(io: Box<Io>, shared: &Shared) -> bool {
    let has_work = io.has_work(shared);
    shared.rights.lend(io, has_work, || shared.poller.wake())
}

/// Lets go of the role, in which nothing is to be done, and waits for events if nobody else does. Gives the role back when there is
/// something to do and nobody else has taken it up.
fn watch(mut io: Box<Io>, shared: &Arc<Shared>) -> Option<Box<Io>> {
    // One look before the sockets are left to the watcher, whom it costs more to come.
    if shared.rights.is_watched() && io.look(shared) || io.has_work(shared) {
        return Some(io);
    }
    let (mut batch, timeout) = io.begin_wait();
    match shared.rights.put_down(io) {
        Next::GoOn(io) => return Some(io),
        Next::Rest => return None,
        Next::Watch => {}
    }
    shared.wait_for_events(&mut batch, timeout, || false);
    let mut io = shared.rights.end_watch(&batch)?;
    io.end_wait(batch, shared);
    Some(io)
}

/// Runs a call from the loop, then takes the role up again if nobody has it.
fn run_inline(call: Box<Call>, timed: bool, shared: &Shared) -> Option<Duty> {
    log::trace!(target: "funicorn::net", "inline call: the I/O role is lent");
    let start = timed.then(Instant::now);
    run(call, shared);
    shared.rights.reclaim(start.map(|start| start.elapsed()))
}

/// Runs a call that waited. If it was quick, inline calls will do, and the role had better come back from the understudy.
fn run_queued(call: Box<Call>, shared: &Shared) {
    log::trace!(target: "funicorn::net", "call from the queue");
    let start = Instant::now();
    run(call, shared);
    if start.elapsed() < QUICK {
        shared.rights.want_role(|| shared.wake_waiting());
    }
}

/// Calls the service. Its panic costs one response and nothing else.
fn run(call: Box<Call>, shared: &Shared) {
    shared.counted(|| {
        let Call { request, response, .. } = *call;
        if std::panic::catch_unwind(AssertUnwindSafe(|| shared.service.call(request, response))).is_err() {
            log::error!("the service panicked; its response was given up");
        }
    });
    fork_guard::exit_if_forked();
}

/// The life of the understudy: stand by, take the role when a call lasts, give it back when a thread is free.
fn understudy(shared: &Arc<Shared>) {
    while let Some(mut io) = shared.rights.stand_by(|| shared.flush_gathered()) {
        log::trace!(target: "funicorn::net", "promotion: the understudy takes the I/O role");
        // What a call has gathered until the role was taken out of it; later blocks are written at once.
        shared.flush_gathered();
        loop {
            match io.next(shared, Holder::Understudy) {
                // There is no watcher while the understudy has the role.
                Step::Call(call) => shared.rights.enqueue(call, || ()),
                // Only a holder that must not wait is told so.
                Step::Idle => {}
                Step::Yield => {
                    shared.rights.yield_role(io);
                    break;
                }
                Step::Stopped => {
                    shared.stop();
                    break;
                }
            }
        }
    }
    if !shared.rights.wait_for_threads(LAST_GRACE) {
        end_process("a call did not come back in time");
    }
}
