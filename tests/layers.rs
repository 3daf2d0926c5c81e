//! Do the dependency edges between the layers hold? `docs/architecture.md` draws them; here cargo's own graph and the
//! sources are asked. Only normal dependencies count: tests and build scripts may use what they like.
#![allow(missing_docs, reason = "test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// One wall between the layers: what no path of dependencies from `layer` may reach.
struct Wall {
    layer: &'static str,
    forbidden: &'static [&'static str],
    reason: &'static str,
}

const WALLS: [Wall; 3] = [
    Wall {
        layer: "funicorn-http",
        forbidden: &[
            "funicorn-net",
            "funicorn-wsgi",
            "funicorn-cli",
            "pyo3",
            "pyo3-ffi",
            "libc",
            "rustix",
            "nix",
            "socket2",
            "mio",
            "polling",
            "tokio",
            "signal-hook",
        ],
        reason: "the entities of HTTP are values and one state machine: no socket, clock, thread or Python",
    },
    Wall {
        layer: "funicorn-net",
        forbidden: &["funicorn-wsgi", "funicorn-cli", "pyo3", "pyo3-ffi"],
        reason: "the network server serves any Service: it knows no Python",
    },
    Wall {
        layer: "funicorn-wsgi",
        forbidden: &[
            "funicorn-net",
            "funicorn-cli",
            "socket2",
            "rustix",
            "nix",
            "mio",
            "polling",
            "tokio",
            "signal-hook",
        ],
        reason: "the adapter turns requests into calls: it knows no sockets",
    },
];

/// What the sources of a layer may not name, for what the standard library offers to everybody.
struct Taboo {
    layer: &'static str,
    words: &'static [&'static str],
    reason: &'static str,
}

const TABOOS: [Taboo; 2] = [
    Taboo {
        layer: "funicorn-http",
        words: &[
            "ToSocketAddrs",
            "std::os::unix::net",
            "TcpStream",
            "TcpListener",
            "UnixStream",
            "UdpSocket",
            "std::thread",
            "std::process",
            "SystemTime::now",
            "Instant::now",
            "File::open",
            "File::create",
            "OpenOptions",
            "fs::read",
            "fs::write",
        ],
        reason: "the entities of HTTP do no I/O, start no threads and read no clock",
    },
    Taboo {
        layer: "funicorn-wsgi",
        words: &[
            "std::os::unix::net",
            "TcpStream",
            "TcpListener",
            "UnixStream",
            "UnixListener",
            "UdpSocket",
            "libc::socket",
            "libc::send",
            "libc::recv",
            "libc::accept",
        ],
        reason: "the adapter knows no sockets",
    },
];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().expect("cargo metadata answers")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

fn package<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == name)
        .expect("a member of the workspace")
}

/// The normal dependencies of every package, as cargo resolved them.
fn edges(metadata: &Metadata) -> BTreeMap<&PackageId, Vec<&PackageId>> {
    let graph = metadata.resolve.as_ref().expect("cargo resolves the workspace");
    let is_normal =
        |dep: &&cargo_metadata::NodeDep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
    graph
        .nodes
        .iter()
        .map(|node| (&node.id, node.deps.iter().filter(is_normal).map(|dep| &dep.pkg).collect()))
        .collect()
}

/// Every package that `from` depends on, each with the path that leads to it.
fn reachable(metadata: &Metadata, from: &Package) -> BTreeMap<String, String> {
    let edges = edges(metadata);
    let mut paths = BTreeMap::new();
    let mut waiting = vec![(&from.id, from.name.to_string())];
    while let Some((id, path)) = waiting.pop() {
        for &dependency in &edges[id] {
            let name = metadata[dependency].name.to_string();
            let longer = format!("{path} -> {name}");
            if paths.insert(name, longer.clone()).is_none() {
                waiting.push((dependency, longer));
            }
        }
    }
    paths
}

/// Every Rust file below `dir`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a readable folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The lines that do something: no comments, and nothing from the unit tests at a file's end on.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn breaches(taboo: &Taboo) -> Vec<String> {
    let mut found = Vec::new();
    for path in sources(&root().join(taboo.layer).join("src")) {
        let text = fs::read_to_string(&path).expect("a readable source");
        for (number, line) in code(&text) {
            let words = taboo.words.iter().filter(|word| line.contains(*word));
            found.extend(words.map(|word| format!("{}:{number}: {word}", path.display())));
        }
    }
    found
}

#[test]
fn no_layer_depends_on_what_it_must_not_know() {
    let metadata = metadata();
    for wall in &WALLS {
        let reachable = reachable(&metadata, package(&metadata, wall.layer));
        let breaches: Vec<_> = wall.forbidden.iter().filter_map(|name| reachable.get(*name)).collect();
        assert!(breaches.is_empty(), "{}: {}, but {breaches:?}", wall.layer, wall.reason);
    }
}

#[test]
fn nothing_depends_on_the_command() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        let depends = package.dependencies.iter().any(|dependency| dependency.name == "funicorn-cli");
        assert!(
            !depends,
            "{} depends on funicorn-cli, which composes the layers and is used by none of them",
            package.name
        );
    }
}

#[test]
fn the_sources_name_nothing_that_is_another_layers_business() {
    for taboo in &TABOOS {
        let breaches = breaches(taboo);
        assert!(breaches.is_empty(), "{}: {}, but:\n{}", taboo.layer, taboo.reason, breaches.join("\n"));
    }
}

/// A wall around a package that no longer exists, or a folder that has moved, would hold against nothing.
#[test]
fn the_walls_stand_around_packages_that_exist() {
    let metadata = metadata();
    let members: BTreeSet<_> =
        metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let walled: BTreeSet<_> =
        WALLS.iter().map(|wall| wall.layer).chain(TABOOS.iter().map(|taboo| taboo.layer)).collect();
    for layer in walled {
        assert!(members.contains(layer), "{layer} is no member of the workspace");
        assert!(!sources(&root().join(layer).join("src")).is_empty(), "{layer} has no sources");
    }
    let all = reachable(&metadata, package(&metadata, "funicorn-cli"));
    assert!(all.contains_key("pyo3") && all.contains_key("libc"), "the graph has lost its edges: {all:?}");
}
