//! How the rights pass between threads: each test plays the application threads, the understudy is the real `watch`.

use std::cell::Cell;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

use funicorn_http::{
    AbortReason, Address, Body, BodyLength, ConnectionInfo, FileRange, Request, RequestHead, ResponseHead,
    ResponseSink, ResponseWriter, SendError, Service,
};

use super::*;
use crate::poller::{Poller, Token};
use crate::shared::Shared;
use crate::{Control, WorkerConfig};

struct Nothing;

impl Service for Nothing {
    fn call(&self, _: Request, _: ResponseWriter) {}
}

impl ResponseSink for Nothing {
    fn start(&mut self, _: ResponseHead, _: BodyLength) -> Result<(), SendError> {
        Ok(())
    }
    fn send(&mut self, _: &[u8], _: &mut dyn FnMut(usize) -> bytes::Bytes) -> Result<(), SendError> {
        Ok(())
    }
    fn send_file(&mut self, _: FileRange) -> Result<(), SendError> {
        Ok(())
    }
    fn room(&self) -> Option<u64> {
        None
    }
    fn finish(self: Box<Self>) -> Result<(), SendError> {
        Ok(())
    }
    fn abort(self: Box<Self>, _: AbortReason) {}
}

fn io() -> Box<Io> {
    let control = Control::new(None).unwrap();
    let (service, poller) = (Arc::new(Nothing), Poller::new().unwrap());
    let shared = Shared::new(service, WorkerConfig::default(), None, poller, control.handle()).unwrap();
    Box::new(Io::new(Vec::new(), control, &shared).unwrap())
}

fn call(target: &str) -> Box<Call> {
    let nowhere = ConnectionInfo::new(Address::Unix(None), Address::Unix(None));
    let request = Request::new(RequestHead::builder("GET", target).build(), Body::empty(), Arc::new(nowhere));
    Box::new(Call { request, response: ResponseWriter::new(Box::new(Nothing)), received_at: Instant::now() })
}

fn is_lent_and_calls_are_quick(rights: &Rights) -> bool {
    let state = rights.lock();
    matches!(state.place, Place::Lent(_)) && state.slow == 0
}

fn target(duty: &Duty) -> Option<&[u8]> {
    match duty {
        Duty::Call(call) => Some(call.request.head.target()),
        Duty::Io(_, call) => Some(call.as_ref()?.request.head.target()),
        Duty::End => None,
    }
}

fn holds_io(duty: &Duty) -> bool {
    matches!(duty, Duty::Io(..))
}

#[test]
fn after_a_quick_call_the_role_is_taken_up_again() {
    let rights = Rights::default();
    rights.lend(io(), false, || ());
    assert!(rights.reclaim(None).is_some());
    assert!(rights.reclaim(None).is_none(), "there is one role");
}

#[test]
fn the_understudy_takes_the_role_out_of_a_call_that_lasts() {
    let rights = Rights::default();
    thread::scope(|scope| {
        let understudy = scope.spawn(|| rights.stand_by(|| ()));
        rights.lend(io(), false, || ());
        assert!(understudy.join().unwrap().is_some());
    });
    assert!(rights.reclaim(None).is_none(), "the understudy has it");
}

#[test]
fn the_understudy_wakes_up_when_a_call_begins() {
    let rights = Rights::default();
    thread::scope(|scope| {
        let understudy = scope.spawn(|| rights.stand_by(|| ()));
        while !rights.lock().understudy_sleeps {
            thread::yield_now();
        }
        rights.lend(io(), false, || ());
        assert!(understudy.join().unwrap().is_some());
    });
}

#[test]
fn a_call_that_is_about_to_wait_gives_the_role_away() {
    let rights = Rights::default();
    thread::scope(|scope| {
        let understudy = scope.spawn(|| rights.stand_by(|| ()));
        rights.lend(io(), false, || ());
        rights.promote_now();
        assert!(understudy.join().unwrap().is_some());
    });
}

#[test]
fn an_idle_application_thread_goes_before_the_understudy() {
    let rights = Rights::default();
    thread::scope(|scope| {
        let idle = scope.spawn(|| rights.wait_for_duty(|| ()));
        while !rights.wants_role() {
            thread::yield_now();
        }
        let understudy = scope.spawn(|| {
            // An idle thread that is slow to come loses its turn for a moment, and gets another.
            while let Some(io) = rights.stand_by(|| ()) {
                rights.yield_role(io);
            }
        });
        rights.lend(io(), false, || ());
        assert!(holds_io(&idle.join().unwrap()));
        rights.stop();
        understudy.join().unwrap();
    });
}

#[test]
fn an_idle_thread_has_the_understudy_woken() {
    let rights = Rights::default();
    rights.lock().place = Place::Understudy;
    let (woken, is_woken) = channel();
    thread::scope(|scope| {
        let idle = scope.spawn(|| rights.wait_for_duty(|| woken.send(()).unwrap()));
        is_woken.recv().unwrap();
        assert!(rights.wants_role(), "so the understudy yields");
        rights.offer(io());
        assert!(holds_io(&idle.join().unwrap()));
    });
}

#[test]
fn queued_calls_go_first_and_in_order() {
    let rights = Rights::default();
    rights.lend(io(), false, || ());
    rights.enqueue(call("/1"), || ());
    rights.enqueue(call("/2"), || ());
    // The thread that comes back gets the role, and a call to run first; another one gets the other call.
    let duty = rights.reclaim(None).unwrap();
    assert!(holds_io(&duty));
    assert_eq!(target(&duty), Some(&b"/1"[..]));
    let duty = rights.duty().unwrap();
    assert!(!holds_io(&duty));
    assert_eq!(target(&duty), Some(&b"/2"[..]));
    assert!(rights.duty().is_none());
}

#[test]
fn a_role_on_offer_that_nobody_can_take_goes_to_the_understudy() {
    let rights = Rights::default();
    rights.offer(io());
    assert!(rights.stand_by(|| ()).is_some());
}

#[test]
fn a_stop_ends_every_thread_and_drops_what_has_not_begun() {
    let rights = Arc::new(Rights::default());
    let barrier = Arc::new(Barrier::new(3));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            rights.thread_starts();
            let (rights, barrier) = (Arc::clone(&rights), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                let duty = rights.wait_for_duty(|| ());
                rights.thread_ended();
                matches!(duty, Duty::End)
            })
        })
        .collect();
    barrier.wait();
    assert!(!rights.wait_for_threads(Duration::ZERO));
    rights.stop();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    assert!(rights.wait_for_threads(Duration::ZERO));
    assert!(rights.stand_by(|| ()).is_none());
    rights.enqueue(call("/late"), || ());
}

#[test]
fn two_threads_and_an_understudy_never_lose_the_role() {
    // Calls of random length: whatever the order, in the end the role is found again.
    let rights = Rights::default();
    rights.offer(io());
    thread::scope(|scope| {
        let understudy = scope.spawn(|| {
            while let Some(io) = rights.stand_by(|| ()) {
                rights.yield_role(io);
            }
        });
        let threads: Vec<_> = (0..2u32)
            .map(|thread| {
                let rights = &rights;
                scope.spawn(move || {
                    let mut calls = 0;
                    while calls < 300 {
                        let Duty::Io(mut io, None) = rights.wait_for_duty(|| ()) else {
                            panic!("no other duty")
                        };
                        loop {
                            rights.lock().slow = 0;
                            rights.lend(io, false, || ());
                            calls += 1;
                            if calls % 50 == thread {
                                // A call that lasts until somebody else has the role.
                                // The understudy may have passed it on already; but it has left its mark.
                                while is_lent_and_calls_are_quick(rights) {
                                    thread::yield_now();
                                }
                            }
                            let Some(Duty::Io(again, None)) = rights.reclaim(None) else { break };
                            if calls >= 300 {
                                rights.offer(again);
                                break;
                            }
                            io = again;
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        rights.stop();
        understudy.join().unwrap();
    });
}

#[test]
fn after_a_slow_call_the_role_passes_before_the_call_until_calls_are_quick() {
    let rights = Rights::default();
    rights.lock().slow = 2 * worth(Duration::ZERO);
    thread::scope(|scope| {
        for _ in 0..2 {
            let idle = scope.spawn(|| rights.wait_for_duty(|| ()));
            while !rights.wants_role() {
                thread::yield_now();
            }
            assert!(rights.lend(io(), false, || ()), "the time of the call is wanted");
            assert!(holds_io(&idle.join().unwrap()), "without any tick");
            assert!(rights.reclaim(Some(QUICK)).is_none(), "somebody has it");
            assert!(rights.reclaim(Some(Duration::ZERO)).is_none());
        }
    });
    assert!(!rights.lend(io(), false, || ()), "calls are taken to be quick again");
}

#[test]
fn a_quick_queued_call_brings_the_role_back_from_the_understudy() {
    let rights = Rights::default();
    rights.lock().place = Place::Understudy;
    rights.enqueue(call("/1"), || ());
    assert_eq!(target(&rights.duty().unwrap()), Some(&b"/1"[..]));
    assert!(!rights.wants_role());
    let (woken, is_woken) = channel();
    rights.want_role(|| woken.send(()).unwrap());
    is_woken.try_recv().unwrap();
    assert!(rights.wants_role());
    rights.yield_role(io());
    assert!(!rights.wants_role());
    assert!(holds_io(&rights.duty().unwrap()));
}

#[test]
fn one_thread_waits_for_events_and_others_leave_them_to_it() {
    let rights = Rights::default();
    assert!(matches!(rights.put_down(io()), Next::Watch));
    assert!(rights.duty().is_none(), "a thread without a call leaves the role where it is");
    let Some(Duty::Io(io, None)) = rights.reclaim(None) else {
        panic!("the role, for whoever comes out of a call")
    };
    assert!(rights.is_watched());
    assert!(matches!(rights.put_down(io), Next::Rest));
    let io = rights.end_watch(&Batch::default()).expect("the role, for who has waited");
    assert!(!rights.is_watched());
    assert!(matches!(rights.put_down(io), Next::Watch));
}

#[test]
fn events_that_come_while_the_role_is_elsewhere_are_heard_of() {
    let event = Event { token: Token::Wake, readable: true, writable: false, ended: false, hung_up: false };
    let mut events = Batch::default();
    events.fill([event].into_iter());
    let rights = Rights::default();
    assert!(matches!(rights.put_down(io()), Next::Watch));
    let Some(Duty::Io(io, None)) = rights.reclaim(None) else { panic!("the role") };
    assert!(rights.end_watch(&events).is_none(), "another thread has it");
    let Next::GoOn(io) = rights.put_down(io) else { panic!("there is an event") };
    assert!(matches!(rights.put_down(io), Next::Watch), "it is heard of once");
}

#[test]
fn the_watcher_is_called_back_for_work_that_no_other_thread_can_do() {
    let woken = Cell::new(0);
    let wake = || woken.set(woken.get() + 1);
    let rights = Rights::default();
    assert!(matches!(rights.put_down(io()), Next::Watch));
    let Some(Duty::Io(io, None)) = rights.reclaim(None) else { panic!("the role") };
    rights.lend(io, false, wake);
    assert_eq!(woken.get(), 0, "events will bring it back");
    let Some(Duty::Io(io, None)) = rights.reclaim(None) else { panic!("the role") };
    rights.lend(io, true, wake);
    rights.enqueue(call("/1"), wake);
    assert_eq!(woken.get(), 2);
}

#[test]
fn a_call_that_waits_passes_the_role_on_though_others_go_by() {
    let rights = Rights::default();
    let (tell, told) = channel();
    thread::scope(|scope| {
        let understudy = scope.spawn(|| rights.stand_by(|| ()));
        let idle = scope.spawn(|| rights.wait_for_duty(|| ()));
        while !rights.wants_role() {
            thread::yield_now();
        }
        let rights = &rights;
        let caller = scope.spawn(move || {
            rights.lend(io(), false, || ());
            told.recv().unwrap();
        });
        // The understudy never sees the same call twice.
        while !idle.is_finished() {
            rights.lock().begun += 1;
            thread::yield_now();
        }
        assert!(holds_io(&idle.join().unwrap()));
        tell.send(()).unwrap();
        caller.join().unwrap();
        rights.stop();
        assert!(understudy.join().unwrap().is_none());
    });
}

#[test]
fn calls_that_may_have_waited_do_not_show_that_calls_are_quick() {
    let rights = Rights::default();
    let after = |time: Duration, calls: u32| {
        rights.lock().slow = SLOWNESS;
        (0..calls).for_each(|_| assert!(rights.reclaim(Some(time)).is_none()));
        rights.lock().slow
    };
    assert_eq!(after(Duration::from_micros(10), 16), 0);
    assert!(after(Duration::from_micros(500), 16) > SLOWNESS / 2);
    assert_eq!(after(Duration::from_micros(500), SLOWNESS), 0);
    assert_eq!(after(QUICK, SLOWNESS), SLOWNESS);
}
