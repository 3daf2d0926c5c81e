//! Which application is meant by `MODULE[:APP]`?

use std::fmt;
use std::str::FromStr;

/// Names an application: a module, and what to take from it.
///
/// ```
/// use funicorn_wsgi::ApplicationSpec;
///
/// for spec in ["shop", "shop.wsgi", "shop.wsgi:application", "shop:site.app", "shop:create_app('test',
/// debug=True)"] {
///     assert_eq!(spec.parse::<ApplicationSpec>().unwrap().to_string(), spec);
/// }
/// assert!("shop/wsgi.py".parse::<ApplicationSpec>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationSpec {
    module: String,
    /// An attribute path or a call, unchecked: Python's own parser looks at it when the application is
    /// loaded.
    app: Option<String>,
}

/// Why a text is no [`ApplicationSpec`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// What stands before the colon is no dotted name.
    #[error("{0:?} is not the name of a module: write MODULE[:APP], such as `shop.wsgi:application`")]
    Module(String),
    /// What stands before the colon is the path of a file.
    #[error("{given:?} is the path of a file: name the module instead, `{module}`")]
    File {
        /// What was given.
        given: String,
        /// The module that is probably meant.
        module: String,
    },
    /// Nothing stands after the colon.
    #[error("nothing follows the colon of {0:?}: write MODULE:APP, or MODULE alone")]
    App(String),
}

impl ApplicationSpec {
    /// The dotted name of the module.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// What to take from the module: an attribute path or a call. `None`: `application`, else `app`.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        self.app.as_deref()
    }
}

impl FromStr for ApplicationSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (module, app) = match text.split_once(':') {
            Some((module, app)) => (module.trim(), Some(app.trim())),
            None => (text.trim(), None),
        };
        if module.contains('/') {
            let path = module.trim_start_matches("./");
            let module_name = path.strip_suffix(".py").unwrap_or(path).trim_matches('/').replace('/', ".");
            return Err(SpecError::File { given: module.to_owned(), module: module_name });
        }
        if !module.split('.').all(is_identifier) {
            return Err(SpecError::Module(module.to_owned()));
        }
        if app == Some("") {
            return Err(SpecError::App(text.to_owned()));
        }
        Ok(Self { module: module.to_owned(), app: app.map(str::to_owned) })
    }
}

/// Nearly Python's rule for identifiers; Python has the last word when it imports.
fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let is_start = |character: char| character.is_alphabetic() || character == '_';
    // Modules that are imported by name only may also contain hyphens, and some people do that.
    characters.next().is_some_and(is_start)
        && characters.all(|character| character.is_alphanumeric() || character == '_' || character == '-')
}

impl fmt::Display for ApplicationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.module)?;
        self.app.as_ref().map_or(Ok(()), |app| write!(f, ":{app}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_a_module_and_perhaps_an_app() {
        let spec: ApplicationSpec = "a.b:create_app({'x': 'y:z'})".parse().unwrap();
        assert_eq!((spec.module(), spec.app()), ("a.b", Some("create_app({'x': 'y:z'})")));
        let spec: ApplicationSpec = "a".parse().unwrap();
        assert_eq!((spec.module(), spec.app()), ("a", None));
    }

    #[test]
    fn what_is_no_module_is_refused_with_advice() {
        for bad in ["", ":app", "a..b", ".a", "a.", "1a", "a b", "a b:app"] {
            assert!(matches!(bad.parse::<ApplicationSpec>(), Err(SpecError::Module(_))), "{bad:?}");
        }
        assert!(matches!("a:".parse::<ApplicationSpec>(), Err(SpecError::App(_))));
        let error = "./site/wsgi.py:app".parse::<ApplicationSpec>().unwrap_err();
        assert!(error.to_string().contains("`site.wsgi`"), "{error}");
    }
}
