//! How does `MODULE[:APP]` become a callable?
//!
//! The module is imported; `APP` is parsed by Python's own `ast` and must be a path of names, or a call of
//! one with literal arguments (a *factory*). What comes out is looked at before it serves: an ASGI
//! application, for instance, would accept its first WSGI request and then fail in a way that explains
//! nothing.

use std::path::Path;

use pyo3::exceptions::{PyAttributeError, PyModuleNotFoundError, PySyntaxError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::executable::Surroundings;
use crate::{ApplicationSpec, fs_string, traceback};

/// Why an application cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No such module.
    #[error("there is no module named {module:?} on sys.path, which is: {path}{hint}")]
    NoModule {
        /// The module that was asked for, or the package of it that is missing.
        module: String,
        /// `sys.path`, for the message.
        path: String,
        /// What else may be meant, or nothing.
        hint: String,
    },
    /// The module raised while it was imported.
    #[error("the module {module:?} cannot be imported:\n{traceback}")]
    Import {
        /// The module that was asked for.
        module: String,
        /// Python's traceback.
        traceback: String,
    },
    /// The module, or an object in it, lacks the attribute.
    #[error("{owner} has no attribute {attribute:?}")]
    NoAttribute {
        /// `module "shop"`, or the path within it.
        owner: String,
        /// What it lacks.
        attribute: String,
    },
    /// No attribute was named, and the module has neither of the usual ones.
    #[error("the module {module:?} has neither `application` nor `app`: write `{module}:NAME`{hint}")]
    NoApplication {
        /// The module that was asked for.
        module: String,
        /// What else may be meant, or nothing.
        hint: String,
    },
    /// Looking an attribute up, or calling the factory, raised.
    #[error("{what} failed:\n{traceback}")]
    Raised {
        /// What was being done.
        what: String,
        /// Python's traceback.
        traceback: String,
    },
    /// `APP` is neither an attribute path nor a call with literal arguments.
    #[error(
        "{app:?} is neither a name such as `site.app` nor a call such as `create_app('prod', debug=False)`: {reason}"
    )]
    Expression {
        /// The text after the colon.
        app: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was found cannot be called.
    #[error("{what} is of type {type_name} and cannot be called: a WSGI application is a callable")]
    NotCallable {
        /// Where it was found.
        what: String,
        /// Its type.
        type_name: String,
    },
    /// An application for an asynchronous server.
    #[error(
        "{what} is an ASGI application ({sign}); funicorn serves WSGI applications: use an ASGI \
         server, or the framework's WSGI entry point"
    )]
    Asgi {
        /// Where it was found.
        what: String,
        /// How that can be told.
        sign: &'static str,
    },
    /// A function that does not take `(environ, start_response)`.
    #[error("{what}{signature} cannot be called with (environ, start_response){hint}")]
    Signature {
        /// Where it was found.
        what: String,
        /// Its parameters.
        signature: String,
        /// What else may be meant, or nothing.
        hint: String,
    },
}

/// Loads the application that `spec` names.
pub(crate) fn load<'py>(py: Python<'py>, spec: &ApplicationSpec) -> Result<Bound<'py, PyAny>, LoadError> {
    let module = import(py, spec)?;
    let (found, what) = match spec.app() {
        Some(app) => (evaluate(&module, spec, app)?, spec.to_string()),
        None => by_convention(&module, spec)?,
    };
    check(&found, &what)?;
    Ok(found)
}

fn import<'py>(py: Python<'py>, spec: &ApplicationSpec) -> Result<Bound<'py, PyAny>, LoadError> {
    let name =
        fs_string::decode(py, spec.module().as_ref()).map_err(|error| raised(py, spec.module(), &error))?;
    let error = match py.import(name) {
        Ok(module) => return Ok(module.into_any()),
        Err(error) => error,
    };
    match missing_module(py, spec, &error) {
        Some(module) => {
            let hint = match spec.module().strip_suffix(".py") {
                Some(name) => format!(" (name the module, not the file: `{name}`)"),
                None => other_environments(py),
            };
            Err(LoadError::NoModule { module, path: search_path(py).unwrap_or_default(), hint })
        }
        None => Err(LoadError::Import { module: spec.module().to_owned(), traceback: explained(py, &error) }),
    }
}

/// `sys.path` for a message.
fn search_path(py: Python<'_>) -> PyResult<String> {
    let path = py.import("sys")?.getattr("path")?;
    let entries: Vec<_> =
        path.try_iter()?.map(|entry| fs_string::encode(&entry?)).collect::<PyResult<_>>()?;
    Ok(entries.join(", "))
}

/// The traceback of `error` and, if a module is missing, where else it could have been.
fn explained(py: Python<'_>, error: &PyErr) -> String {
    let traceback = traceback::format(py, error);
    let is_missing = error.is_instance_of::<PyModuleNotFoundError>(py);
    if is_missing { traceback + &other_environments(py) } else { traceback }
}

/// The environments that were not looked at, as lines that follow a message.
fn other_environments(py: Python<'_>) -> String {
    let executable = py.import("sys").and_then(|sys| fs_string::encode(&sys.getattr("executable")?));
    executable.map_or_else(
        |_| String::new(),
        |executable| Surroundings::of_this_process().hint(Path::new(&executable)),
    )
}

/// The module that `error` says is missing, if it is the one asked for (or a package of it) and not one
/// that *it* imports.
fn missing_module(py: Python<'_>, spec: &ApplicationSpec, error: &PyErr) -> Option<String> {
    // Python takes its own frames out of an import error's traceback, so that one is left only if a module
    // ran.
    if !error.is_instance_of::<PyModuleNotFoundError>(py) || error.traceback(py).is_some() {
        return None;
    }
    let name = error.value(py).getattr("name").and_then(|name| fs_string::encode(&name)).ok()?;
    let asked = spec.module();
    (asked == name || asked.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'))).then_some(name)
}

/// `application`, the name in PEP 3333, or `app`, the one in everybody's examples.
fn by_convention<'py>(
    module: &Bound<'py, PyAny>,
    spec: &ApplicationSpec,
) -> Result<(Bound<'py, PyAny>, String), LoadError> {
    for name in ["application", "app"] {
        let what = format!("{spec}:{name}");
        if let Some(found) = module.getattr_opt(name).map_err(|error| raised(module.py(), &what, &error))? {
            return Ok((found, what));
        }
    }
    let has_factory = module.hasattr("create_app").unwrap_or(false);
    let hint =
        if has_factory { format!(", or `{spec}:create_app()` for its factory") } else { String::new() };
    Err(LoadError::NoApplication { module: spec.module().to_owned(), hint })
}

/// The value of `app`, an attribute path or a call of one with literal arguments.
fn evaluate<'py>(
    module: &Bound<'py, PyAny>,
    spec: &ApplicationSpec,
    app: &str,
) -> Result<Bound<'py, PyAny>, LoadError> {
    let py = module.py();
    let expression = Expression::parse(py, app).map_err(|error| {
        let reason = error.value(py).to_string();
        let reason =
            if error.is_instance_of::<PySyntaxError>(py) { "a syntax error".to_owned() } else { reason };
        LoadError::Expression { app: app.to_owned(), reason }
    })?;
    let found = follow(module, spec, &expression.path)?;
    let Some((positional, keywords)) = expression.arguments else { return Ok(found) };
    if !found.is_callable() {
        let type_name = type_name(&found);
        return Err(LoadError::NotCallable { what: format!("the factory of {spec}"), type_name });
    }
    found
        .call(positional, Some(&keywords))
        .map_err(|error| raised(py, &format!("the factory {spec}"), &error))
}

/// Goes from `module` along the names in `path`.
fn follow<'py>(
    module: &Bound<'py, PyAny>,
    spec: &ApplicationSpec,
    path: &[String],
) -> Result<Bound<'py, PyAny>, LoadError> {
    let py = module.py();
    let mut found = module.clone();
    for (depth, name) in path.iter().enumerate() {
        found = found.getattr(name.as_str()).map_err(|error| {
            let owner = match depth {
                0 => format!("module {:?}", spec.module()),
                _ => format!("{}:{}", spec.module(), path[..depth].join(".")),
            };
            // An AttributeError that comes from code (a property, a module's `__getattr__`) deserves its
            // traceback.
            if error.is_instance_of::<PyAttributeError>(py) && error.traceback(py).is_none() {
                LoadError::NoAttribute { owner, attribute: name.clone() }
            } else {
                raised(py, &format!("looking up {name:?} in {owner}"), &error)
            }
        })?;
    }
    Ok(found)
}

fn raised(py: Python<'_>, what: &str, error: &PyErr) -> LoadError {
    LoadError::Raised { what: what.to_owned(), traceback: explained(py, error) }
}

/// `APP` taken apart.
struct Expression<'py> {
    /// The names between the dots.
    path: Vec<String>,
    /// Of a call: its positional and keyword arguments.
    arguments: Option<(Bound<'py, PyTuple>, Bound<'py, PyDict>)>,
}

impl<'py> Expression<'py> {
    /// # Errors
    /// Whatever Python's parser raises, or a `ValueError` that says what is not allowed.
    fn parse(py: Python<'py>, app: &str) -> PyResult<Self> {
        let ast = py.import("ast")?;
        let keywords = PyDict::new(py);
        keywords.set_item("mode", "eval")?;
        let node = ast.call_method("parse", (app,), Some(&keywords))?.getattr("body")?;
        if !is_node(&node, "Call") {
            return Ok(Self { path: names(&node)?, arguments: None });
        }
        let literal = |node: Bound<'py, PyAny>| {
            ast.call_method1("literal_eval", (node,)).map_err(|_| refuse("arguments must be literals"))
        };
        let positional = PyList::empty(py);
        for node in node.getattr("args")?.try_iter()? {
            positional.append(literal(node?)?)?;
        }
        let keywords = PyDict::new(py);
        for node in node.getattr("keywords")?.try_iter()? {
            let node = node?;
            let name = node.getattr("arg")?;
            if name.is_none() {
                return Err(refuse("** is not allowed"));
            }
            keywords.set_item(name, literal(node.getattr("value")?)?)?;
        }
        Ok(Self { path: names(&node.getattr("func")?)?, arguments: Some((positional.to_tuple(), keywords)) })
    }
}

fn is_node(node: &Bound<'_, PyAny>, kind: &str) -> bool {
    node.get_type().name().is_ok_and(|name| name == kind)
}

/// The names of an attribute path, from the first on.
fn names(node: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if is_node(node, "Name") {
        return Ok(vec![node.getattr("id")?.extract()?]);
    }
    if !is_node(node, "Attribute") {
        return Err(refuse("only names and dots are allowed before the arguments"));
    }
    let mut path = names(&node.getattr("value")?)?;
    path.push(node.getattr("attr")?.extract()?);
    Ok(path)
}

fn refuse(reason: &'static str) -> PyErr {
    pyo3::exceptions::PyValueError::new_err(reason)
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "thing".to_owned(), |name| name.to_string())
}

/// Refuses what cannot answer a WSGI request.
fn check(found: &Bound<'_, PyAny>, what: &str) -> Result<(), LoadError> {
    if !found.is_callable() {
        return Err(LoadError::NotCallable { what: what.to_owned(), type_name: type_name(found) });
    }
    let asgi = asgi_sign(found).map_err(|error| raised(found.py(), what, &error))?;
    if let Some(sign) = asgi {
        return Err(LoadError::Asgi { what: what.to_owned(), sign });
    }
    check_signature(found, what)
}

/// How `found` can be told to be an ASGI application, if it is one.
fn asgi_sign(found: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
    let inspect = found.py().import("inspect")?;
    let is_async = |object: &Bound<'_, PyAny>| -> PyResult<bool> {
        Ok(inspect.call_method1("iscoroutinefunction", (object,))?.is_truthy()?
            || inspect.call_method1("isasyncgenfunction", (object,))?.is_truthy()?)
    };
    if is_async(found)? {
        return Ok(Some("it is a coroutine function"));
    }
    if let Some(call) = found.get_type().getattr_opt("__call__")?
        && is_async(&call)?
    {
        return Ok(Some("its __call__ is a coroutine function"));
    }
    let names = parameter_names(found).unwrap_or_default();
    let asgi = ["scope", "receive", "send"];
    Ok((names == asgi || names == asgi[..1]).then_some("it takes a scope"))
}

fn signature<'py>(found: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = found.py();
    let keywords = PyDict::new(py);
    keywords.set_item("follow_wrapped", false)?;
    py.import("inspect")?.call_method("signature", (found,), Some(&keywords))
}

fn parameter_names(found: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    signature(found)?.getattr("parameters")?.try_iter()?.map(|name| name?.extract()).collect()
}

/// A plain function whose signature does not fit would fail at every request. Of other callables the
/// signature is not to be trusted.
fn check_signature(found: &Bound<'_, PyAny>, what: &str) -> Result<(), LoadError> {
    let py = found.py();
    let is_function = py
        .import("types")
        .and_then(|types| Ok(found.get_type().is(&types.getattr("FunctionType")?)))
        .unwrap_or(false);
    let Ok(signature) = signature(found) else { return Ok(()) };
    if !is_function || signature.call_method1("bind", (py.None(), py.None())).is_ok() {
        return Ok(());
    }
    let is_factory = signature.call_method0("bind").is_ok();
    let hint = if is_factory { format!("; if it is a factory, call it: `{what}()`") } else { String::new() };
    Err(LoadError::Signature { what: what.to_owned(), signature: signature.to_string(), hint })
}
