//! How the application is called: threads, contexts, panics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};

use funicorn_http::{Body, Request, Service};
use pyo3::prelude::*;

use crate::common::{Client, app, app_with, connection, get};

#[test]
fn each_request_runs_in_a_copy_of_the_context_after_loading() {
    let app = app("
        import contextvars
        at_import = contextvars.ContextVar('at_import', default='unset')
        per_request = contextvars.ContextVar('per_request', default='unset')
        at_import.set('loaded')
        closed = []

        class Blocks(list):
            def close(self):
                closed.append(per_request.get())

        def app(environ, start_response):
            start_response('200 OK', [])
            seen = per_request.get(), at_import.get()
            per_request.set('mine')
            at_import.set('changed')
            return Blocks([repr(seen).encode()])
    ");
    for _ in 0..2 {
        assert_eq!(app.get("/").text(), "('unset', 'loaded')");
    }
    assert_eq!(app.global("closed"), "['mine', 'mine']");
}

#[test]
fn a_thread_local_survives_from_request_to_request() {
    let app = app("
        import threading
        local = threading.local()
        def app(environ, start_response):
            local.count = getattr(local, 'count', 0) + 1
            start_response('200 OK', [])
            return [str(local.count).encode()]
    ");
    let mut texts = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| app.service.thread(&mut || texts.extend([app.get("/").text(), app.get("/").text()])));
    });
    assert_eq!(texts, ["1", "2"]);
}

#[test]
fn a_waiting_thread_lets_others_run_python() {
    let app = Arc::new(app("
        def app(environ, start_response):
            start_response('200 OK', [])
            return [b'x']
    "));
    // The first request waits, as for a slow client, until the second one is answered.
    let (answered, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let sender = Arc::clone(&app);
    let on_block = move |_| {
        sender.service.blocking(&mut || wait.lock().unwrap().recv().unwrap());
    };
    let slow = Client { on_block: Some(Arc::new(on_block)), ..Client::default() };
    let entered = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            app.service.thread(&mut || {
                entered.wait();
                let record = app.call_from(&slow, get("/"), Body::empty(), connection("127.0.0.1:8000"));
                assert_eq!(record.text(), "x");
            });
        });
        entered.wait();
        assert_eq!(app.get("/").text(), "x");
        answered.send(()).unwrap();
    });
}

#[test]
fn blocking_works_attached_detached_and_without_a_thread_state() {
    let app = app("def app(environ, start_response): pass");
    let waited = AtomicBool::new(false);
    let mut wait = || waited.store(true, Ordering::Relaxed);
    app.service.blocking(&mut wait);
    assert!(waited.swap(false, Ordering::Relaxed));
    let nested = &mut || app.service.blocking(&mut || waited.store(true, Ordering::Relaxed));
    Python::attach(|_| app.service.blocking(nested));
    assert!(waited.load(Ordering::Relaxed));
}

#[test]
fn another_thread_cannot_send_at_the_same_time() {
    let app = Arc::new(app("
        import threading
        shared = None
        outcome = None

        def app(environ, start_response):
            global shared
            shared = start_response('200 OK', [])
            return [b'first']

        def intrude():
            global outcome
            try:
                shared(b'second')
            except RuntimeError as error:
                outcome = str(error)
    "));
    let intruder = Arc::clone(&app);
    let on_block = move |_| {
        let (service, module) = (&intruder.service, intruder.module.clone());
        service.blocking(&mut || {
            Python::attach(|py| {
                py.import(module.as_str()).unwrap().call_method0("intrude").unwrap().unbind()
            });
        });
    };
    let client = Client { on_block: Some(Arc::new(on_block)), ..Client::default() };
    let record = app.call_from(&client, get("/"), Body::empty(), connection("127.0.0.1:8000"));
    assert_eq!(record.text(), "first");
    assert_eq!(app.global("outcome"), "'another thread is sending a block of this response'");
}

#[test]
fn a_panic_of_the_sink_unwinds_and_the_next_request_is_served() {
    let app = app("
        def app(environ, start_response):
            start_response('200 OK', [])
            return iter([b'x'])
    ");
    let client = Client { on_block: Some(Arc::new(|_| panic!("as asked"))), ..Client::default() };
    let request = Request::new(get("/").build(), Body::empty(), Arc::new(connection("127.0.0.1:8000")));
    let call = std::panic::AssertUnwindSafe(|| app.service.call(request, client.writer()));
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(app.get("/").text(), "x");
}

#[test]
fn wsgiref_validate_finds_nothing_to_complain_about() {
    let app = app_with(
        "
        from wsgiref.validate import validator

        @validator
        def app(environ, start_response):
            body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
            environ['wsgi.errors'].write('note')
            environ['wsgi.errors'].flush()
            if environ['PATH_INFO'] == '/write':
                write = start_response('200 OK', [('Content-Type', 'text/plain')])
                write(b'written ')
            else:
                start_response('200 OK', [('Content-Type', 'text/plain')])
            return [b'body: ', body]
        ",
        |config| config.multithread = true,
    );
    assert_eq!(app.get("/").text(), "body: ");
    assert_eq!(app.get("/write?x=y").text(), "written body: ");
    assert_eq!(app.post(bytes::Bytes::from_static(b"posted")).text(), "body: posted");
    assert_eq!(app.errors(), "notenotenote");
}

#[test]
fn sys_is_that_of_a_python_and_not_of_a_server() {
    let app = app("
        import os, subprocess, sys
        def app(environ, start_response):
            start_response('200 OK', [])
            version = subprocess.run([sys.executable, '-c', 'import sys; print(sys.version)'], stdout=subprocess.PIPE)
            same = version.stdout.decode().strip() == sys.version
            return [repr((same, sys.argv, sys.path[0] == os.getcwd())).encode()]
    ");
    assert_eq!(app.get("/").text(), "(True, ['funicorn', 'app:app'], True)");
}
