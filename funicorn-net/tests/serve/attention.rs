//! When does a service get the attention of the thread that runs the worker, and on which thread?

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{ThreadId, current};

use funicorn_http::{Request, ResponseWriter, Service};
use funicorn_net::{Control, Worker, WorkerConfig};

use crate::harness::{Echo, Running, body};

/// Tells which thread attends, and which ones call; says once that the worker is to stop.
struct Attentive {
    attends_apart: bool,
    tell: Mutex<Sender<Told>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Attended(ThreadId),
    Called(ThreadId),
}

impl Attentive {
    fn tell(&self, told: Told) {
        // Nobody listens any more when the worker stops.
        let _ = self.tell.lock().unwrap().send(told);
    }
}

impl Service for Attentive {
    fn call(&self, request: Request, response: ResponseWriter) {
        self.tell(Told::Called(current().id()));
        Echo.call(request, response);
    }

    fn attend(&self) -> ControlFlow<()> {
        self.tell(Told::Attended(current().id()));
        ControlFlow::Break(())
    }

    fn attends_apart(&self) -> bool {
        self.attends_apart
    }
}

fn attentive(attends_apart: bool) -> (Attentive, Receiver<Told>) {
    let (tell, told) = channel();
    (Attentive { attends_apart, tell: Mutex::new(tell) }, told)
}

/// A request, a word at the source, and the end of the worker that follows from it. Returns the threads that have called and attended.
fn attend(attends_apart: bool, threads: usize) -> (ThreadId, ThreadId) {
    let (service, told) = attentive(attends_apart);
    let (source, mut word) = std::io::pipe().unwrap();
    let server = Running::with_source(service, OwnedFd::from(source), threads);
    assert_eq!(body(&server.exchange(b"GET /a HTTP/1.0\r\n\r\n")), "/a Some(0)\n");
    let Told::Called(called) = told.recv().unwrap() else { panic!("attended without a word") };
    std::io::Write::write_all(&mut word, b"x").unwrap();
    let Told::Attended(attended) = told.recv().unwrap() else { panic!("called without a request") };
    let runner = server.runner();
    assert_eq!(attended, runner, "the thread that runs the worker attends");
    server.wait();
    (called, attended)
}

#[test]
fn the_only_thread_attends_between_calls() {
    for apart in [true, false] {
        let (called, attended) = attend(apart, 1);
        assert_eq!(called, attended);
    }
}

#[test]
fn with_several_threads_the_one_that_runs_the_worker_only_attends_if_the_service_wants_it_so() {
    let (called, attended) = attend(true, 3);
    assert_ne!(called, attended);
}

#[test]
fn as_many_threads_call_as_are_configured_whether_one_more_attends_or_not() {
    use std::sync::Barrier;

    /// Answers when as many calls are running as there are threads.
    struct Together {
        barrier: Barrier,
        attends_apart: bool,
    }

    impl Service for Together {
        fn call(&self, request: Request, response: ResponseWriter) {
            self.barrier.wait();
            Echo.call(request, response);
        }

        fn attends_apart(&self) -> bool {
            self.attends_apart
        }
    }

    for attends_apart in [true, false] {
        let server =
            Running::new(Together { barrier: Barrier::new(3), attends_apart }, |config| config.threads = 3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| server.exchange(b"GET /a HTTP/1.0\r\n\r\n"));
            }
        });
    }
}

#[test]
fn a_worker_whose_threads_cannot_be_started_says_so() {
    struct Threadless;

    impl Service for Threadless {
        fn call(&self, _: Request, _: ResponseWriter) {}

        fn start_thread(
            &self,
            name: &str,
            _: funicorn_http::ThreadLife,
        ) -> std::io::Result<funicorn_http::StartedThread> {
            Err(std::io::Error::other(format!("no room for {name}")))
        }

        fn attends_apart(&self) -> bool {
            true
        }
    }

    let mut config = WorkerConfig::default();
    config.threads = 2;
    let control = Control::new(None).unwrap();
    let worker = Worker::new(Vec::new(), Arc::new(Threadless), config, control, None).unwrap();
    assert_eq!(worker.run().unwrap_err().to_string(), "no room for application-1");
}
