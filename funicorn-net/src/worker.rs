//! How does a worker live? [`Worker::run`] starts its threads, serves until it is told to stop, and ends them.
//!
//! The calling thread is application thread 0: a service that must be loaded and run on the process's main thread is.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use funicorn_http::Service;

use crate::config::WorkerConfig;
use crate::control::Control;
use crate::fork_guard;
use crate::io::{Holder, Io, LAST_GRACE, Step};
use crate::listener::Listener;
use crate::observer::Observer;
use crate::peer::Call;
use crate::poller::Poller;
use crate::rights::{Duty, QUICK};
use crate::shared::{Shared, as_application_thread};

/// Calls from the queue after which the holder of the role looks at the sockets.
const QUEUED_BETWEEN_GLANCES: u32 = 16;

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
        config: WorkerConfig,
        control: Control,
        observer: Option<Arc<dyn Observer>>,
    ) -> io::Result<Self> {
        fork_guard::arm();
        let shared = Arc::new(Shared::new(service, config, observer, Poller::new()?));
        let io = Io::new(listeners, control, &shared)?;
        shared.rights.offer(Box::new(io));
        Ok(Self { shared })
    }

    /// Serves on the calling thread, and as many more as are configured, until the worker has stopped.
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
        let mut threads = Vec::new();
        shared.rights.thread_starts();
        for number in 1..shared.config.threads.max(1) {
            shared.rights.thread_starts();
            let for_thread = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("application-{number}"));
            match builder.spawn(move || application_thread(&for_thread)) {
                Ok(handle) => threads.push(handle),
                Err(error) => {
                    shared.rights.thread_ended();
                    log::error!(
                        "only {number} of {} threads could be started: {error}",
                        shared.config.threads
                    );
                    break;
                }
            }
        }
        application_thread(&shared);
        for handle in threads.into_iter().chain([understudy]) {
            // A panic was logged where it happened.
            let _ = handle.join();
        }
        Ok(())
    }
}

/// Ends the process without ceremony; the last resort against threads that do not come back.
pub(crate) fn end_process(why: &str) -> ! {
    log::error!("the worker ends at once: {why}");
    log::logger().flush();
    fork_guard::exit_process(1)
}

fn application_thread(shared: &Arc<Shared>) {
    shared.service.thread(&mut || as_application_thread(|| do_duties(shared)));
    shared.rights.thread_ended();
}

/// The life of an application thread: hold the I/O role and call inline, or run queued calls, or wait for either.
fn do_duties(shared: &Arc<Shared>) {
    loop {
        let duty = shared.rights.duty().unwrap_or_else(|| wait_for_duty(shared));
        match duty {
            Duty::Io(io, queued) => hold_role(io, queued, shared),
            Duty::Call(call) => run_queued(*call, shared),
            Duty::End => return,
        }
    }
}

/// Runs a call that waited. If it was quick, inline calls will do, and the role had better come back from the understudy.
fn run_queued(call: Call, shared: &Shared) {
    let start = Instant::now();
    run(call, shared);
    if start.elapsed() < QUICK {
        shared.rights.want_role(|| shared.wake_waiting());
    }
}

fn wait_for_duty(shared: &Shared) -> Duty {
    let mut duty = Duty::End;
    shared.blocking(|| duty = shared.rights.wait_for_duty(|| shared.wake_waiting()));
    duty
}

/// Holds the I/O role until somebody else has taken it during a call. Calls that have waited go first.
fn hold_role(io: Box<Io>, queued: Option<Box<Call>>, shared: &Arc<Shared>) {
    let (mut io, mut queued) = (io, queued);
    let mut from_queue = 0;
    loop {
        let call = match queued.take() {
            Some(call) => {
                from_queue += 1;
                if from_queue % QUEUED_BETWEEN_GLANCES == 0 {
                    io.glance(shared);
                }
                call
            }
            None => match next_step(&mut io, shared) {
                Step::Call(call) => call,
                Step::Yield => return shared.rights.yield_role(io),
                Step::Stopped => return shared.rights.stop(),
            },
        };
        let start = shared.rights.lend(io).then(Instant::now);
        run(*call, shared);
        match shared.rights.reclaim(start.map(|start| start.elapsed())) {
            Some(Duty::Io(again, next)) => (io, queued) = (again, next),
            _ => return,
        }
    }
}

/// While another call is running, lets go for the whole step; otherwise only for a wait.
fn next_step(io: &mut Box<Io>, shared: &Arc<Shared>) -> Step {
    if shared.in_flight() == 0 {
        return io.next(shared, Holder::Application);
    }
    let mut step = Step::Yield;
    shared.blocking(|| step = io.next(shared, Holder::DetachedApplication));
    step
}

/// Calls the service. Its panic costs one response and nothing else.
fn run(call: Call, shared: &Shared) {
    shared.counted(|| {
        let Call { request, response } = call;
        if std::panic::catch_unwind(AssertUnwindSafe(|| shared.service.call(request, response))).is_err() {
            log::error!("the service panicked; its response was given up");
        }
    });
    fork_guard::exit_if_forked();
}

/// The life of the understudy: watch, take the role when a call lasts, give it back when a thread is free.
fn understudy(shared: &Arc<Shared>) {
    while let Some(mut io) = shared.rights.watch() {
        loop {
            match io.next(shared, Holder::Understudy) {
                Step::Call(call) => shared.rights.enqueue(call),
                Step::Yield => {
                    shared.rights.yield_role(io);
                    break;
                }
                Step::Stopped => {
                    shared.rights.stop();
                    break;
                }
            }
        }
    }
    if !shared.rights.wait_for_threads(LAST_GRACE) {
        end_process("a call did not come back in time");
    }
}
