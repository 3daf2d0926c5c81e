//! What else wants to know about the life of the processes? A preloaded interpreter, a service manager, hooks.

/// Is told by the [`Supervisor`](crate::Supervisor) what happens to its workers. Every method does nothing by default.
///
/// All are called on the supervisor's only thread; they must not block, for nobody watches the workers meanwhile.
pub trait Lifecycle {
    /// A worker is about to be forked.
    fn before_fork(&mut self) {}

    /// The worker `pid` has been forked, or `None`: it could not be.
    fn after_fork_parent(&mut self, pid: Option<u32>) {
        let _ = pid;
    }

    /// This process is the new worker.
    fn after_fork_child(&mut self) {}

    /// The worker `pid` says that it serves.
    fn ready(&mut self, pid: u32) {
        let _ = pid;
    }

    /// The worker `pid` has ended.
    fn child_exited(&mut self, pid: u32, ending: crate::Ending) {
        let _ = (pid, ending);
    }

    /// Log files are to be opened anew; the workers are told next, and those that are forked later inherit what is open then.
    fn reopen(&mut self) {}

    /// No worker will be started any more, and those that live were told to end: the moment to close the listeners,
    /// so that new clients are turned away at once.
    fn stopping(&mut self) {}
}

/// A lifecycle that nobody watches.
impl Lifecycle for () {}
