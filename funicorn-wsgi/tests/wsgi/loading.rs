//! `MODULE[:APP]`.

use crate::common::{app, load, module};
use pyo3::prelude::*;

/// The text of the error with which `spec` is refused.
fn refused(spec: &str) -> String {
    load(spec).expect_err(spec).to_string()
}

const APPS: &str = "
    def application(environ, start_response):
        start_response('200 OK', [])
        return [b'application']

    class Site:
        class wsgi:
            application = application

    site = Site()
    number = 5

    def create_app(name='x', *, debug=False):
        def app(environ, start_response):
            start_response('200 OK', [])
            return [repr((name, debug)).encode()]
        return app

    def create_nothing():
        pass

    def create_failure():
        raise ValueError('no database')
";

#[test]
fn an_attribute_path_or_a_factory_call_names_the_application() {
    let module = module(APPS);
    for app in [
        "application",
        "site.wsgi.application",
        "create_app()",
        "create_app('prod', debug=True)",
        "create_app(name=['a', {1: (2, None, -3)}])",
        "create_app(\"a:b\")",
    ] {
        load(&format!("{module}:{app}")).unwrap();
    }
    load(&module).unwrap();
}

#[test]
fn without_a_name_application_comes_before_app() {
    let both = app("
        def application(environ, start_response):
            start_response('200 OK', [])
            return [b'application']
        app = None
    ");
    assert_eq!(both.get("/").text(), "application");
    let neither = module("create_app = print");
    let text = refused(&neither);
    assert!(text.contains("neither `application` nor `app`") && text.contains("create_app()"), "{text}");
}

#[test]
fn an_absent_attribute_is_named() {
    let module = module(APPS);
    assert!(refused(&format!("{module}:absent")).contains("has no attribute \"absent\""));
    let text = refused(&format!("{module}:site.wsgi.absent"));
    assert!(text.contains(&format!("{module}:site.wsgi has no attribute \"absent\"")), "{text}");
}

#[test]
fn an_attribute_that_fails_in_code_shows_its_traceback() {
    let module = module(
        "
        def __getattr__(name):
            raise AttributeError(name + ' cannot be made')
    ",
    );
    let text = refused(&format!("{module}:lazy"));
    assert!(text.contains("Traceback") && text.contains("lazy cannot be made"), "{text}");
}

#[test]
fn what_is_not_callable_is_refused() {
    let module = module(APPS);
    assert!(refused(&format!("{module}:number")).contains("is of type int and cannot be called"));
    assert!(refused(&format!("{module}:number()")).contains("cannot be called"));
    assert!(
        refused(&format!("{module}:create_nothing()")).contains("is of type NoneType and cannot be called")
    );
}

#[test]
fn a_function_that_does_not_take_two_arguments_is_refused() {
    let module = module(APPS);
    let text = refused(&format!("{module}:create_nothing"));
    assert!(
        text.contains("if it is a factory") && text.contains(&format!("{module}:create_nothing()")),
        "{text}"
    );
}

#[test]
fn only_names_and_literals_are_allowed() {
    let module = module(APPS);
    for (app, reason) in [
        ("create_app(number)", "arguments must be literals"),
        ("create_app(**{'name': 1})", "** is not allowed"),
        ("create_app()()", "only names and dots"),
        ("site['wsgi']", "only names and dots"),
        ("create_app(", "a syntax error"),
        ("a b", "a syntax error"),
        ("import os", "a syntax error"),
    ] {
        let text = refused(&format!("{module}:{app}"));
        assert!(text.contains(reason), "{app}: {text}");
    }
}

#[test]
fn a_factory_that_raises_shows_its_traceback() {
    let module = module(APPS);
    let text = refused(&format!("{module}:create_failure()"));
    assert!(text.contains("Traceback") && text.contains("ValueError: no database"), "{text}");
}

#[test]
fn a_missing_module_is_told_from_a_missing_import_in_it() {
    let text = refused("no_such_module:app");
    assert!(text.contains("no module named \"no_such_module\"") && !text.contains("Traceback"), "{text}");
    let text = refused("no_such_package.wsgi");
    assert!(text.contains("no module named \"no_such_package\""), "{text}");
    let text = refused("json.no_such_part");
    assert!(text.contains("no module named \"json.no_such_part\""), "{text}");

    let directory = std::env::temp_dir().join(format!("funicorn-loading-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("imports_missing.py"), "import no_such_module\n").unwrap();
    std::fs::write(directory.join("does_not_parse.py"), "def app(:\n").unwrap();
    std::fs::write(directory.join("exits.py"), "import sys\nsys.exit(3)\n").unwrap();
    Python::attach(|py| {
        let path = py.import("sys").unwrap().getattr("path").unwrap();
        path.call_method1("append", (directory.as_os_str(),)).unwrap();
    });
    let text = refused("imports_missing");
    assert!(text.contains("Traceback") && text.contains("imports_missing.py\", line 1"), "{text}");
    let text = refused("does_not_parse");
    assert!(text.contains("SyntaxError"), "{text}");
    let text = refused("exits");
    assert!(text.contains("Traceback") && text.contains("SystemExit: 3"), "{text}");
    let text = refused("imports_missing.py");
    assert!(text.contains("imports_missing"), "{text}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn an_asgi_application_is_refused_by_name() {
    let module = module(
        "
        import functools

        async def function(scope, receive, send):
            pass

        class Instance:
            async def __call__(self, scope, receive, send):
                pass

        class TwoStep:
            def __init__(self, scope):
                pass
            async def __call__(self, receive, send):
                pass

        def delegating(scope, receive, send):
            return function(scope, receive, send)

        async def generator(environ, start_response):
            yield b''

        instance = Instance()
        partial = functools.partial(function, 1)
    ",
    );
    for app in ["function", "instance", "TwoStep", "delegating", "generator", "partial"] {
        let text = refused(&format!("{module}:{app}"));
        assert!(text.contains("is an ASGI application"), "{app}: {text}");
    }
}

#[test]
fn classes_instances_and_methods_are_applications() {
    let module = module(
        "
        import functools

        class AsClass:
            def __init__(self, environ, start_response):
                pass
            def __iter__(self):
                return iter([])

        class AsInstance:
            def __call__(self, environ, start_response):
                pass
            def method(self, environ, start_response):
                pass

        def takes_more(flag, environ, start_response):
            pass

        def decorated(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(1, *args)
            return wrapper

        instance = AsInstance()
        method = instance.method
        partial = functools.partial(takes_more, 1)
        wrapped = decorated(takes_more)
        builtin = dict
    ",
    );
    for app in ["AsClass", "instance", "method", "partial", "wrapped", "builtin"] {
        load(&format!("{module}:{app}")).unwrap();
    }
}
