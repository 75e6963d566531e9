//! Every code that an answer can carry is explained in `docs/errors.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::StatusCode;

use crate::documents::root;

/// Codes by what the source calls them with: the call, and which of its arguments is the code.
const PROBLEMS: &[(&str, usize)] =
    &[("Problem::new(", 1), ("Self::new(", 1), ("unauthenticated(", 0), ("malformed(", 0)];
const FIELDS: &[(&str, usize)] = &[
    ("with_error(", 1),
    (".push(", 1),
    ("PolicyViolation::new(", 0),
    // What is wrong with the description of an identity provider.
    ("mistaken(", 1),
    ("mistake(", 0),
];

/// The product's source, without its unit tests.
fn sources() -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                found.push(text.split("#[cfg(test)]").next().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

/// The arguments of the call whose opening bracket has just been passed.
fn arguments(rest: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0, false, false, 0);
    let mut found = Vec::new();
    for (at, c) in rest.char_indices() {
        if quoted {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match c {
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => {
                found.push(rest[start..at].trim());
                // After a trailing comma there is no argument.
                found.retain(|argument| !argument.is_empty());
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(rest[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn literal(argument: &str) -> Option<&str> {
    let text = argument.strip_prefix('"')?.strip_suffix('"')?;
    let is_code =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    is_code.then_some(text)
}

/// Every call of the kinds, as the list of its arguments and the place of the code among them.
fn calls<'s>(
    sources: &'s [String],
    kinds: &'s [(&str, usize)],
) -> impl Iterator<Item = (&'s str, Vec<&'s str>, usize)> {
    sources.iter().flat_map(move |source| {
        kinds.iter().flat_map(move |(call, place)| {
            source.match_indices(call).map(|(at, call)| (call, arguments(&source[at + call.len()..]), *place))
        })
    })
}

/// Problem codes of the source with their statuses.
fn problem_codes() -> BTreeMap<String, BTreeSet<u16>> {
    let mut found = BTreeMap::<String, BTreeSet<u16>>::new();
    for (call, arguments, place) in calls(&sources(), PROBLEMS) {
        let Some(code) = arguments.get(place).and_then(|argument| literal(argument)) else { continue };
        let status = match call {
            "unauthenticated(" => StatusCode::UNAUTHORIZED,
            "malformed(" => StatusCode::BAD_REQUEST,
            _ => match arguments[0].strip_prefix("StatusCode::") {
                Some(name) => status(name),
                None => continue,
            },
        };
        found.entry(code.to_owned()).or_default().insert(status.as_u16());
    }
    assert!(found.len() > 15, "only {} codes found", found.len());
    found
}

fn status(name: &str) -> StatusCode {
    let words = name.replace('_', " ");
    (100..600)
        .filter_map(|code| StatusCode::from_u16(code).ok())
        .find(|status| {
            status
                .canonical_reason()
                .is_some_and(|reason| reason.replace('-', " ").eq_ignore_ascii_case(&words))
        })
        .unwrap_or_else(|| panic!("StatusCode::{name} is unknown to this test"))
}

/// Codes of fields in the source.
fn field_codes() -> BTreeSet<String> {
    let sources = sources();
    let mut found: BTreeSet<String> = calls(&sources, FIELDS)
        .filter(|(call, arguments, _)| *call != ".push(" || arguments.len() == 3)
        .filter_map(|(_, arguments, place)| literal(arguments.get(place)?).map(str::to_owned))
        .collect();
    for source in &sources {
        // The policy's own words, and those of types that say what is wrong with them.
        let bodies = source.split("fn code(&self) -> &'static str {").skip(1);
        let bodies = bodies.map(|rest| rest.split("\n    }").next().unwrap());
        let words = bodies.flat_map(|body| body.split('"').skip(1).step_by(2));
        found.extend(words.map(str::to_owned));
        let named = source.split("code: \"").skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(named.map(str::to_owned));
        // What reading a body into its type finds.
        let read = source.split("(pointer, \"").skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(read.map(str::to_owned));
    }
    found
}

/// The rows of the table under a heading: code, and what stands in the second column.
fn documented(heading: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let table = rest.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let columns: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let meaning = columns.last().unwrap();
        assert!(meaning.len() > 10 && !meaning.contains("TODO"), "{row}: says too little");
        (columns[0].trim_matches('`').to_owned(), columns[1].to_owned())
    })
    .collect()
}

#[test]
fn every_problem_code_is_explained_with_its_status() {
    let found: BTreeMap<String, String> = problem_codes()
        .into_iter()
        .map(|(code, statuses)| {
            let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
            (code, statuses.join(", "))
        })
        .collect();
    let documented = documented("## Problems");
    let missing: Vec<_> =
        found.iter().filter(|(code, status)| documented.get(*code) != Some(status)).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks, or has with another status: {missing:#?}");
    let gone: Vec<_> = documented.keys().filter(|code| !found.contains_key(*code)).collect();
    assert!(gone.is_empty(), "docs/errors.md explains what the source does not say: {gone:?}");
}

#[test]
fn every_field_code_is_explained() {
    let (found, documented) = (field_codes(), documented("## Fields"));
    let missing: Vec<_> = found.iter().filter(|code| !documented.contains_key(*code)).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks: {missing:#?}");
    let gone: Vec<_> = documented.keys().filter(|code| !found.contains(*code)).collect();
    assert!(gone.is_empty(), "docs/errors.md explains what the source does not say: {gone:?}");
}

#[test]
fn arguments_are_told_apart_whatever_they_hold() {
    assert_eq!(arguments(r#"a(b, c), "x, \") y", [1, 2]) rest)"#), ["a(b, c)", r#""x, \") y""#, "[1, 2]"]);
    assert_eq!(literal("\"too_long\""), Some("too_long"));
    assert_eq!(literal("code"), None);
}
