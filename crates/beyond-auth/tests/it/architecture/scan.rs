//! Reads Rust source just well enough to say which paths it names and which strings it holds.
//!
//! Comments and `#[cfg(test)] mod … { … }` blocks do not count. Paths are resolved through `crate`, `self`,
//! `super` and the names that the file's own `use` statements bind, so an alias hides nothing.

use std::collections::HashMap;

/// A path that a file names, from the crate's root (`["users", "store", "find"]`) or from outside it
/// (`["sqlx", "query"]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
    /// Resolved to this crate's own tree; false for other crates and for names the scanner cannot place.
    pub ours: bool,
    /// Stands in a `pub use` (of any visibility above private).
    pub reexport: bool,
}

/// What one file says.
#[derive(Debug, Default)]
pub struct Scan {
    pub paths: Vec<Named>,
    /// String literals with their lines.
    pub strings: Vec<(usize, String)>,
}

/// Scans `source`, the text of the module at `module` (`["users", "store"]`; empty for the crate's root).
pub fn scan(module: &[String], source: &str) -> Scan {
    let tokens = without_test_modules(&tokenize(source));
    let statements = paths(module, &tokens);
    let bound = bindings(&statements);
    let paths = statements
        .iter()
        .map(|raw| {
            let (path, ours) = resolve(&raw.segments, &raw.module, &bound);
            Named { line: raw.line, path, ours, reexport: raw.reexport }
        })
        .collect();
    let strings = tokens
        .into_iter()
        .filter_map(|(line, token)| match token {
            Token::Str(text) => Some((line, text)),
            _ => None,
        })
        .collect();
    Scan { paths, strings }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Ident(String),
    /// `::`
    Sep,
    Punct(char),
    Str(String),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Token::Ident(ident) if ident == word)
    }
}

type Tokens = Vec<(usize, Token)>;

fn tokenize(source: &str) -> Tokens {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        let next = chars.get(at + 1).copied();
        match chars[at] {
            '/' if next == Some('/') => at = find(&chars, at, |c| c == '\n'),
            '/' if next == Some('*') => at = end_of_block_comment(&chars, at),
            '"' => {
                let end = end_of_string(&chars, at + 1);
                tokens.push((line, Token::Str(chars[at + 1..end.min(chars.len())].iter().collect())));
                at = end + 1;
            }
            '\'' => at = end_of_char_or_lifetime(&chars, at),
            ':' if next == Some(':') => {
                tokens.push((line, Token::Sep));
                at += 2;
            }
            c if c.is_alphabetic() || c == '_' => {
                at = find(&chars, at, |c| !(c.is_alphanumeric() || c == '_'));
                let word: String = chars[start..at].iter().collect();
                let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
                let quoted = chars.get(at + hashes) == Some(&'"');
                if quoted && matches!(word.as_str(), "r" | "br" | "cr") {
                    let body = at + hashes + 1;
                    let end = end_of_raw_string(&chars, body, hashes);
                    tokens.push((line, Token::Str(chars[body..end].iter().collect())));
                    at = (end + 1 + hashes).min(chars.len());
                } else if word == "r" && hashes == 1 {
                    at += 1; // a raw identifier: its name follows
                } else if !(quoted && hashes == 0 && matches!(word.as_str(), "b" | "c")) {
                    tokens.push((line, Token::Ident(word)));
                }
            }
            c if c.is_ascii_digit() => at = find(&chars, at, |c| !(c.is_alphanumeric() || c == '_')),
            c => {
                if !c.is_whitespace() {
                    tokens.push((line, Token::Punct(c)));
                }
                at += 1;
            }
        }
        at = at.min(chars.len());
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| stop(chars[*at])).unwrap_or(chars.len())
}

/// Block comments nest in Rust.
fn end_of_block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at
}

fn end_of_raw_string(chars: &[char], from: usize, hashes: usize) -> usize {
    let closes =
        |at: usize| chars[at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    (from..chars.len()).find(|at| closes(*at)).unwrap_or(chars.len())
}

fn end_of_char_or_lifetime(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => find(chars, at + 3, |c| c == '\'') + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

fn without_test_modules(tokens: &Tokens) -> Tokens {
    let text = |at: usize| tokens.get(at).map(|(_, token)| token);
    let cfg_test = |at: usize| {
        text(at) == Some(&Token::Punct('#'))
            && text(at + 2).is_some_and(|token| token.is("cfg"))
            && text(at + 4).is_some_and(|token| token.is("test"))
            && text(at + 5) == Some(&Token::Punct(')'))
    };
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        // `# [ cfg ( test ) ]` is seven tokens; further attributes and a visibility may stand before `mod`.
        let item = at + 7;
        let opens = (item..tokens.len()).find(|at| matches!(tokens[*at].1, Token::Punct('{' | ';')));
        match opens {
            Some(open)
                if cfg_test(at)
                    && tokens[open].1 == Token::Punct('{')
                    && open >= 2
                    && tokens[open - 2].1.is("mod") =>
            {
                at = closing_brace(tokens, open) + 1;
            }
            _ => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    kept
}

fn closing_brace(tokens: &Tokens, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, (_, token)) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Punct('{') => depth += 1,
            Token::Punct('}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// A path as written, with the module it stands in and, in a `use`, the name it binds.
struct Raw {
    line: usize,
    module: Vec<String>,
    segments: Vec<String>,
    binds: Option<String>,
    reexport: bool,
}

fn paths(module: &[String], tokens: &Tokens) -> Vec<Raw> {
    let mut found = Vec::new();
    let mut inside: Vec<(usize, String)> = Vec::new(); // inline modules: brace depth and name
    let mut depth = 0_usize;
    let mut at = 0;
    while at < tokens.len() {
        let (line, token) = &tokens[at];
        let here =
            || module.iter().cloned().chain(inside.iter().map(|(_, name)| name.clone())).collect::<Vec<_>>();
        match token {
            Token::Punct('{') => depth += 1,
            Token::Punct('}') => {
                depth = depth.saturating_sub(1);
                inside.retain(|(opened_at, _)| *opened_at <= depth);
            }
            Token::Ident(word) if word == "mod" => {
                if let (Some((_, Token::Ident(name))), Some((_, Token::Punct('{')))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    inside.push((depth + 1, name.clone()));
                }
            }
            Token::Ident(word) if word == "use" => {
                let reexport =
                    at > 0 && (tokens[at - 1].1.is("pub") || tokens[at - 1].1 == Token::Punct(')'));
                let mut leaves = Vec::new();
                at = use_tree(tokens, at + 1, &[], &mut leaves);
                for (segments, binds) in leaves {
                    found.push(Raw { line: *line, module: here(), segments, binds, reexport });
                }
                continue;
            }
            Token::Ident(word) if tokens.get(at + 1).is_some_and(|(_, next)| *next == Token::Sep) => {
                let mut segments = vec![word.clone()];
                while let (Some((_, Token::Sep)), Some((_, Token::Ident(next)))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    segments.push(next.clone());
                    at += 2;
                }
                found.push(Raw { line: *line, module: here(), segments, binds: None, reexport: false });
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Parses one use tree from `at`; returns where it ends. A leaf is its full path and the name it binds.
fn use_tree(
    tokens: &Tokens,
    mut at: usize,
    prefix: &[String],
    leaves: &mut Vec<(Vec<String>, Option<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(|(_, token)| token) {
            Some(Token::Ident(word)) if word == "as" => {
                let name = match tokens.get(at + 1) {
                    Some((_, Token::Ident(name))) => Some(name.clone()),
                    _ => None,
                };
                leaves.push((path, name));
                return at + 2;
            }
            Some(Token::Ident(word)) => {
                // `a::{self}` names `a`; a leading `self` is a start like `crate`.
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                at += 1;
            }
            Some(Token::Sep) => at += 1,
            Some(Token::Punct('*')) => {
                path.push("*".to_owned());
                leaves.push((path, None));
                return at + 1;
            }
            Some(Token::Punct('{')) => {
                at += 1;
                while at < tokens.len() && tokens[at].1 != Token::Punct('}') {
                    if tokens[at].1 == Token::Punct(',') {
                        at += 1;
                        continue;
                    }
                    let end = use_tree(tokens, at, &path, leaves);
                    at = end.max(at + 1);
                }
                return at + 1;
            }
            _ => {
                let name = path.last().cloned();
                leaves.push((path, name));
                return at;
            }
        }
    }
}

fn bindings(statements: &[Raw]) -> HashMap<String, Vec<String>> {
    let mut bound = HashMap::new();
    // A `use` may build on a name that another one binds; a few rounds settle that.
    for _ in 0..4 {
        for raw in statements {
            if let Some(name) = &raw.binds
                && let (path, true) = resolve(&raw.segments, &raw.module, &bound)
            {
                bound.insert(name.clone(), path);
            }
        }
    }
    bound
}

fn resolve(
    segments: &[String],
    module: &[String],
    bound: &HashMap<String, Vec<String>>,
) -> (Vec<String>, bool) {
    let mut base = match segments.first().map(String::as_str) {
        Some("crate" | "beyond_auth") => Vec::new(),
        Some("self" | "super") => module.to_vec(),
        Some(name) if bound.contains_key(name) => bound[name].clone(),
        _ => return (segments.to_vec(), false),
    };
    for (position, segment) in segments.iter().enumerate() {
        match segment.as_str() {
            "super" => drop(base.pop()),
            _ if position == 0 => {}
            other => base.push(other.to_owned()),
        }
    }
    (base, true)
}
