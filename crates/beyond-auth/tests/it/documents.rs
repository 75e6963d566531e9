//! What the documents point at is there.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every Markdown file of the repository, at the root and below `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/adr"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    found.sort();
    found
}

/// Targets of the inline links of a Markdown text: `[…](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let target = link.split('#').next().unwrap();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !document.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {link}", document.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_script_that_a_task_or_document_names_exists() {
    let mut texts = vec![std::fs::read_to_string(root().join("mise.toml")).unwrap()];
    texts.extend(documents().iter().map(|document| std::fs::read_to_string(document).unwrap()));
    let named: BTreeSet<String> = texts
        .iter()
        .flat_map(|text| text.split(|c: char| c.is_whitespace() || "`\"'()".contains(c)))
        .filter(|word| word.starts_with("bin/"))
        .map(|word| word.trim_end_matches(|c: char| !c.is_alphanumeric()).to_owned())
        .filter(|word| word != "bin")
        .collect();
    let missing: Vec<&String> = named.iter().filter(|script| !root().join(script).is_file()).collect();
    assert!(!named.is_empty() && missing.is_empty(), "named, but not there: {missing:?}");
}

#[test]
fn decisions_are_numbered_without_a_gap_and_listed() {
    let index = std::fs::read_to_string(root().join("docs/adr/README.md")).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(root().join("docs/adr"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    for (position, name) in names.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}-", position + 1)), "{name} is not number {}", position + 1);
        assert!(index.contains(&format!("({name})")), "docs/adr/README.md does not list {name}");
    }
}

#[test]
fn the_licence_is_the_published_text() {
    let text = std::fs::read_to_string(root().join("LICENSE")).unwrap();
    assert!(text.trim_start().starts_with("GNU AFFERO GENERAL PUBLIC LICENSE"));
    assert_eq!(text.len(), 34_523, "length of the text at https://www.gnu.org/licenses/agpl-3.0.txt");
}
