//! Do the documents say what is there? Links, diagrams, the code map, the length of examples, the stated Rust version.
#![allow(missing_docs, clippy::unwrap_used, reason = "test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file below `dir` whose name ends in `ending`, without what was built.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name == ".github" || !(name.starts_with('.') || name == "target" || name == "wire")
    };
    entries
        .filter(is_ours)
        .flat_map(|path| if path.is_dir() { files(&path, ending) } else { vec![path] })
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

fn documents() -> Vec<(PathBuf, String)> {
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    files(&root(), ".md").into_iter().map(read).collect()
}

/// The targets of the links of a document, without the text of its code blocks.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

/// The name by which a heading can be linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        for link in links(&text).into_iter().filter(|link| !link.starts_with("http")) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let has_anchor = |text: String| {
                text.lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#')) == fragment)
            };
            let found = if fragment.is_empty() {
                target.exists()
            } else {
                fs::read_to_string(&target).is_ok_and(has_anchor)
            };
            if !found {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// The variants of `enum name` in a source.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let (_, body) = source.split_once(&format!("enum {name} {{\n")).expect("the enum");
    let (body, _) = body.split_once("\n}").expect("its end");
    let is_variant = |line: &&str| {
        line.strip_prefix("    ").is_some_and(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let name = |line: &str| line.trim().split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
    body.lines().filter(is_variant).map(name).collect()
}

/// The states that a diagram has arrows from or to.
fn states(diagram: &str) -> BTreeSet<String> {
    let arrows = diagram.lines().filter_map(|line| line.split_once(" --> "));
    let ends = arrows.flat_map(|(from, to)| [from.trim(), to.split(':').next().unwrap().trim()]);
    ends.filter(|state| *state != "[*]").map(str::to_owned).collect()
}

#[test]
fn the_diagrams_have_the_states_of_the_sources() {
    let mut diagrams = 0;
    for (path, text) in documents() {
        for part in text.split("<!-- states of ").skip(1) {
            let (subject, rest) = part.split_once(" -->\n```mermaid\n").expect("a diagram");
            let (file, name) = subject.split_once(": ").expect("a file and an enum");
            let source = fs::read_to_string(root().join(file)).unwrap();
            let diagram = rest.split("```").next().unwrap();
            assert_eq!(states(diagram), variants(&source, name), "{}: {subject}", path.display());
            diagrams += 1;
        }
    }
    assert!(diagrams >= 5, "{diagrams} diagrams are held against the sources");
}

#[test]
fn the_code_map_names_files_that_exist() {
    let map = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut named = 0;
    for section in map.split("\n### ").skip(1).filter(|section| section.starts_with("funicorn-")) {
        let layer = section.split(|c: char| c == ':' || c.is_whitespace()).next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| ") || layer == "funicorn-cli");
        let words =
            rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|word| word.ends_with(".rs"));
        for word in words {
            let path = root().join(layer).join("src").join(word);
            assert!(path.exists(), "{} does not exist", path.display());
            named += 1;
        }
    }
    assert!(named > 40, "{named} files are named");
}

#[test]
fn examples_fit_on_a_page() {
    for layer in ["funicorn-http", "funicorn-net", "funicorn-wsgi", "funicorn-cli"] {
        let examples = files(&root().join(layer).join("examples"), ".rs");
        assert!(!examples.is_empty(), "{layer} has examples");
        for path in examples {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 50, "{} has {lines} lines", path.display());
        }
    }
}

/// Clippy looks for newer items of the standard library in our code; here is what others ask for.
#[test]
fn no_dependency_needs_a_newer_rust_than_we_say() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap();
    let ours = metadata.workspace_packages()[0].rust_version.clone().expect("a stated version");
    for package in &metadata.packages {
        let needed = package.rust_version.as_ref();
        assert!(needed.is_none_or(|needed| *needed <= ours), "{} needs Rust {needed:?}", package.name);
    }
}
