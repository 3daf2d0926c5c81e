//! Orders from each source, and what becomes of them together. Signals are tried in the supervisor's tests, in
//! processes of their own.

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

fn is_readable(control: &Control) -> bool {
    let sources = control.sources();
    let mut fds: Vec<_> = sources.iter().map(|source| PollFd::new(source, PollFlags::IN)).collect();
    poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
}

fn with_lifeline() -> (Control, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Control::with_lifeline(None, Some(Arc::new(ours))).unwrap(), theirs)
}

#[test]
fn a_handle_stops_from_another_thread() {
    let control = Control::new(None).unwrap();
    assert_eq!(control.take(), None);
    let handle = control.handle();
    std::thread::spawn(move || {
        handle.stop(Order::StopNow);
        handle.stop(Order::StopGracefully);
    })
    .join()
    .unwrap();
    assert!(is_readable(&control));
    assert_eq!(control.take(), Some(Order::StopNow));
    assert!(!is_readable(&control));
    assert_eq!(control.take(), None);
}

#[test]
fn a_handle_given_twice_is_not_a_second_signal() {
    let control = Control::new(None).unwrap();
    for _ in 0..2 {
        control.handle().stop(Order::StopGracefully);
        assert_eq!(control.take(), Some(Order::StopGracefully));
    }
}

#[test]
fn the_supervisor_orders_by_bytes() {
    let (control, mut supervisor) = with_lifeline();
    assert!(!is_readable(&control));
    supervisor.write_all(&[Order::StopGracefully.to_byte()]).unwrap();
    assert!(is_readable(&control));
    assert_eq!(control.take(), Some(Order::StopGracefully));
    supervisor.write_all(&[Order::StopGracefully.to_byte(), b'?', Order::StopNow.to_byte()]).unwrap();
    assert_eq!(control.take(), Some(Order::StopNow));
    assert!(!is_readable(&control));
}

#[test]
fn log_files_to_be_opened_anew_are_no_order() {
    let (control, mut supervisor) = with_lifeline();
    supervisor.write_all(&[REOPEN, REOPEN]).unwrap();
    assert!(is_readable(&control));
    assert_eq!((control.take(), control.take_reopen(), control.take_reopen()), (None, true, false));
    assert!(!is_readable(&control));
    supervisor.write_all(&[REOPEN, Order::StopNow.to_byte()]).unwrap();
    assert_eq!((control.take(), control.take_reopen()), (Some(Order::StopNow), true));
}

#[test]
fn an_orphan_stops_once_and_sleeps_again() {
    let (control, supervisor) = with_lifeline();
    drop(supervisor);
    assert!(is_readable(&control));
    assert_eq!(control.take(), Some(Order::StopGracefully));
    assert!(!is_readable(&control));
    assert_eq!(control.take(), None);
}

#[test]
fn the_last_order_of_a_supervisor_that_died_still_counts() {
    let (control, mut supervisor) = with_lifeline();
    supervisor.write_all(&[Order::StopNow.to_byte()]).unwrap();
    drop(supervisor);
    assert_eq!(control.take(), Some(Order::StopNow));
}

#[test]
fn ready_is_a_byte() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ReadyNotice::new(Arc::new(ours)).ready();
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, [READY]);
}
