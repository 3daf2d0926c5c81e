//! The traps of passing the I/O role on, each as a scenario that hangs or fails if it is fallen into.
//!
//! `MODEL_RUNS` says how many schedules are tried of each, half of them with few preemptions in bad places, half at random.

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, MaxSteps, Runner};

use super::network::{Client, NETWORK};
use super::services::{BLOCK, BLOCKS, GATE, Scripted};
use crate::{Control, Order, StopHandle, Worker, WorkerConfig};

fn check(scenario: impl Fn() + Clone + Send + Sync + 'static) {
    let runs = std::env::var("MODEL_RUNS").map_or(200, |runs| runs.parse().unwrap());
    run(RandomScheduler::new(runs / 2), scenario.clone());
    run(PctScheduler::new(3, runs / 2), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}

/// A worker on threads of its own.
struct Server {
    stop: StopHandle,
    thread: JoinHandle<()>,
}

impl Server {
    fn start(threads: usize) -> Self {
        let mut config = WorkerConfig::default();
        config.threads = threads;
        config.limits.response_memory = 100;
        config.limits.response_spool = 0;
        let control = Control::new(None).unwrap();
        let stop = control.handle();
        let thread = thread::spawn(move || {
            Worker::new(Vec::new(), Arc::new(Scripted), config, control, None).unwrap().run().unwrap();
        });
        Self { stop, thread }
    }

    /// Stops it; every thread of it must end.
    fn stop(self) {
        self.stop.stop(Order::StopGracefully);
        NETWORK.give_order();
        self.thread.join().unwrap();
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A client that has asked for `path`.
fn asking(path: &str) -> Client {
    let client = Client::connect();
    client.send(&get(path));
    client
}

/// Reads one answer, which must be the one to `path`.
fn expect(client: &Client, path: &str) {
    let answer = client.read_to("\n\r\n") + &client.read_to("\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    assert!(answer.ends_with(&format!("\r\n\r\nok {path}\n")), "{path}: {answer:?}");
}

fn expect_refusal(client: &Client) {
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    client.end();
}

/// Trap a. One wait tells of several connections, and the call for one of them sticks: the others are not stranded with it.
#[test]
fn a_call_that_sticks_strands_nobody() {
    for (path, threads) in [("/gate", 1), ("/hold", 1), ("/gate", 2), ("/hold", 2)] {
        check(move || {
            let early = asking("/sleep");
            let (stuck, bad, late) = (asking(path), asking("BAD"), asking("/quick"));
            let server = Server::start(threads);
            // Only somebody who goes on polling, reading and writing can refuse this,
            expect_refusal(&bad);
            // and accept this one, which has come too late for the first wait.
            let later = asking("BAD");
            expect_refusal(&later);
            GATE.open();
            expect(&stuck, path);
            expect(&early, "/sleep");
            expect(&late, "/quick");
            for client in [early, stuck, late] {
                client.end();
            }
            server.stop();
        });
    }
}

/// Responses of one turn are written together, and the last one of a connection with its end; but a call that sticks keeps
/// none that were made before it.
#[test]
fn what_a_turn_has_answered_does_not_wait_for_a_call_that_sticks() {
    // With two threads "/hold" could keep the interpreter from a call that another thread has begun.
    for (path, threads) in [("/gate", 1), ("/hold", 1), ("/gate", 2)] {
        check(move || {
            let quick = [asking("/quick"), asking("/quick")];
            let last = Client::connect();
            last.send("GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let (stuck, behind) = (asking(path), asking("/quick"));
            let server = Server::start(threads);
            quick.iter().for_each(|client| expect(client, "/quick"));
            expect(&last, "/quick");
            assert_eq!(last.rest(), "");
            GATE.open();
            expect(&stuck, path);
            expect(&behind, "/quick");
            for client in quick.into_iter().chain([last, stuck, behind]) {
                client.end();
            }
            server.stop();
        });
    }
}

/// No request waits behind a stuck one while a thread is idle.
#[test]
fn an_idle_thread_takes_what_comes_behind_a_stuck_call() {
    check(|| {
        let stuck = asking("/gate");
        let server = Server::start(2);
        let (one, other) = (asking("/quick"), asking("/sleep"));
        expect(&one, "/quick");
        expect(&other, "/sleep");
        one.send(&get("/again"));
        expect(&one, "/again");
        GATE.open();
        expect(&stuck, "/gate");
        for client in [stuck, one, other] {
            client.end();
        }
        server.stop();
    });
}

/// Trap b. What arrives while a request of the same connection is in a call is not forgotten, nor what was read with it.
#[test]
fn an_edge_during_a_call_is_not_swallowed() {
    for threads in [1, 2] {
        check(move || {
            let server = Server::start(threads);
            let client = Client::connect();
            client.send(&(get("/sleep") + &get("/quick")));
            client.send(&get("/sleep"));
            expect(&client, "/sleep");
            client.send(&get("/quick"));
            client.end();
            for path in ["/quick", "/sleep", "/quick"] {
                expect(&client, path);
            }
            assert_eq!(client.rest(), "");
            server.stop();
        });
    }
}

/// Trap c. Whoever sleeps is woken: the loop for a response that has ended, a thread for a request, the understudy for a call.
#[test]
fn no_wake_up_is_lost() {
    for threads in [1, 2, 3] {
        check(move || {
            let server = Server::start(threads);
            // One that waits for events, and two that come out of calls meanwhile.
            let first: &[&str] =
                if threads < 3 { &["/quick", "/sleep"] } else { &["/quick", "/sleep", "/sleep"] };
            let clients: Vec<_> = first
                .iter()
                .map(|&path| {
                    thread::spawn(move || {
                        let client = asking(path);
                        expect(&client, path);
                        client.send(&get("/sleep"));
                        expect(&client, "/sleep");
                        client.send(&get("/quick"));
                        expect(&client, "/quick");
                        client.end();
                        assert_eq!(client.rest(), "");
                    })
                })
                .collect();
            for client in clients {
                client.join().unwrap();
            }
            server.stop();
        });
    }
}

/// Trap d. A late writer does not write to whoever has the number now. (The network panics when a closed number is used.)
#[test]
fn a_number_that_is_given_away_is_not_written_to() {
    for threads in [1, 2] {
        check(move || {
            let server = Server::start(threads);
            let gone = asking("/gate");
            let streaming = asking("/stream");
            gone.reset();
            let mut next: Vec<_> = Vec::new();
            for number in 0..2 {
                let client = asking("BAD");
                if number == 0 {
                    expect_refusal(&client);
                } else {
                    next.push(client);
                }
            }
            streaming.reset();
            GATE.open();
            next.iter().for_each(expect_refusal);
            let last = asking("/quick");
            expect(&last, "/quick");
            last.end();
            server.stop();
        });
    }
}

/// Blocks that were yielded are on their way while the application waits, whoever holds the role.
#[test]
fn a_gathered_block_leaves_while_the_call_lasts() {
    for threads in [1, 2] {
        check(move || {
            let server = Server::start(threads);
            let client = asking("/stream");
            let start = client.read_to("two\r\n");
            assert!(start.ends_with("3\r\none\r\n3\r\ntwo\r\n"), "{start:?}");
            GATE.open();
            assert_eq!(client.read_to("0\r\n\r\n"), "5\r\nthree\r\n0\r\n\r\n");
            client.end();
            server.stop();
        });
    }
}

/// Trap e, and the rule that goes with it: a call that waits for its client holds neither the role nor the interpreter.
#[test]
fn a_slow_reader_holds_up_nobody_else() {
    for threads in [1, 2] {
        check(move || {
            let server = Server::start(threads);
            let slow = asking("/large");
            let bad = asking("BAD");
            expect_refusal(&bad);
            if threads > 1 {
                let quick = asking("/quick");
                expect(&quick, "/quick");
                quick.end();
            }
            let answer = slow.read_to(&BLOCKS[4].repeat(BLOCK));
            let body = BLOCKS.map(|block| block.repeat(BLOCK)).concat();
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer:?}");
            slow.end();
            server.stop();
        });
    }
}

/// A stop finds every thread, wherever it is, and the request in flight is answered.
#[test]
fn a_stop_ends_every_thread() {
    for threads in [1, 2, 3] {
        check(move || {
            let server = Server::start(threads);
            let client = asking("/sleep");
            let stopper = thread::spawn(move || server.stop());
            let answer = client.rest();
            // It may have come before the connection was accepted; then there is no answer, but an end.
            assert!(answer.is_empty() || answer.ends_with("\r\n\r\nok /sleep\n"), "{answer:?}");
            client.end();
            stopper.join().unwrap();
        });
    }
}
