//! The end of the interpreter: threads are waited for, `atexit` functions run, and what Rust still holds does no harm.
#![allow(missing_docs, clippy::unwrap_used, reason = "test")]

use funicorn_wsgi::{Interpreter, InterpreterConfig, InterpreterError, WsgiConfig, WsgiService};
use pyo3::prelude::*;

#[test]
fn finalize_waits_for_threads_and_runs_atexit_functions() {
    let directory = std::env::temp_dir().join(format!("funicorn-finalize-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("finalized.py"),
        "import atexit, os, threading\n\
         here = os.path.dirname(__file__)\n\
         def note(name):\n    open(os.path.join(here, name), 'w').close()\n\
         atexit.register(note, 'atexit')\n\
         # Its work is not over before the main thread is about to end.\n\
         threading.Thread(target=lambda: (threading.main_thread().join(), note('thread'))).start()\n\
         def app(environ, start_response):\n    pass\n",
    )
    .unwrap();
    let mut config = InterpreterConfig::default();
    config.pythonpath = vec![directory.clone()];
    let interpreter = Interpreter::start(&config).unwrap();
    assert!(matches!(Interpreter::start(&config), Err(InterpreterError::Running)));
    let service = WsgiService::load(&"finalized".parse().unwrap(), WsgiConfig::default()).unwrap();
    let another = WsgiService::load(&"finalized".parse().unwrap(), WsgiConfig::default()).unwrap();
    drop(another);
    interpreter.finalize();
    assert!(directory.join("thread").exists() && directory.join("atexit").exists());
    assert!(Python::try_attach(|_| ()).is_none());
    drop(service);
    std::fs::remove_dir_all(directory).unwrap();
}
