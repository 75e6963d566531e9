//! Templates: `templates/mail/<locale>/<name>/{subject.txt,body.txt,body.html}`, compiled in, each file
//! replaceable by one of the same path in the operator's folder.
//!
//! Values are hostile: people choose their names, and a mail is a way to put words before somebody else's
//! eyes. So values are stripped of control and direction characters and shortened before a template sees
//! them, HTML is escaped, links must be links, and a subject is one line.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use rust_embed::RustEmbed;
use serde_json::Value;
use url::Url;

/// The locale that always exists and that others fall back to.
pub const DEFAULT_LOCALE: &str = "en";
/// The files of a template.
const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];
/// The frame that every `body.html` extends.
const LAYOUT: &str = "layout.html";
/// Longest text value, in characters.
const VALUE_LIMIT: usize = 200;
/// Longest link, in bytes. A longer one is an error: half a link is worse than no mail.
const LINK_LIMIT: usize = 2000;
/// Longest subject, in characters.
const SUBJECT_LIMIT: usize = 200;

#[derive(RustEmbed)]
#[folder = "templates/mail/"]
struct Embedded;

/// A mail's readable parts. They carry secrets, hence no telling `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered").finish_non_exhaustive()
    }
}

/// A mail could not be rendered. Names template and line, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// No template of this name.
    #[error("there is no mail template {0}")]
    Unknown(String),
    /// A value of the context named like a link is none.
    #[error("{0} is not an http or https link of at most {LINK_LIMIT} bytes")]
    Link(String),
    /// The template failed.
    #[error("{file}:{line}: {reason}")]
    Template {
        /// Path below the templates folder.
        file: String,
        /// Line, from 1; 0 when unknown.
        line: usize,
        /// What the template engine says.
        reason: String,
    },
}

/// The operator's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder could not be read.
    #[error("{path}: {reason}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A file that no template would ever read: most likely a misspelt name.
    #[error("{path}: replaces nothing; known are LOCALE/{LAYOUT} and LOCALE/{{{names}}}/{{{parts}}}", path = path.display())]
    Useless {
        /// Which.
        path: PathBuf,
        /// Known templates.
        names: String,
        /// Known files.
        parts: String,
    },
    /// A locale of one's own must bring all files of a template, or the mail would mix languages.
    #[error("{path} is missing: a template in another locale needs all of {parts}", path = path.display())]
    Missing {
        /// Which.
        path: PathBuf,
        /// All files.
        parts: String,
    },
    /// A template is broken.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// Line, from 1; 0 when unknown.
        line: usize,
        /// What the template engine says.
        reason: String,
    },
}

/// All templates, compiled.
pub struct Templates {
    environment: Environment<'static>,
    /// Locales by template name.
    locales: BTreeMap<String, BTreeSet<String>>,
    /// One example context by template name.
    samples: BTreeMap<String, Value>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("locales", &self.locales).finish_non_exhaustive()
    }
}

impl Templates {
    /// The compiled-in templates with those of the operator's folder on top. Every template is rendered
    /// once with an example, so that a broken one is found now and not when somebody waits for a mail.
    ///
    /// # Errors
    /// With file and line of what is wrong in the operator's folder.
    pub fn load(folder: Option<&Path>) -> Result<Self, LoadError> {
        let mut sources = BTreeMap::new();
        let mut samples = BTreeMap::new();
        for path in Embedded::iter() {
            let file = Embedded::get(&path).map(|file| file.data).unwrap_or_default();
            let text = String::from_utf8_lossy(&file).into_owned();
            match path.split('/').collect::<Vec<_>>()[..] {
                [DEFAULT_LOCALE, name, "sample.json"] => {
                    let sample = serde_json::from_str(&text).unwrap_or_default();
                    samples.insert(name.to_owned(), sample);
                }
                _ => drop(sources.insert(path.into_owned(), text)),
            }
        }
        if let Some(folder) = folder {
            overlay(folder, &mut sources, &samples)?;
        }
        Self::compile(folder, &sources, samples)
    }

    fn compile(
        folder: Option<&Path>,
        sources: &BTreeMap<String, String>,
        samples: BTreeMap<String, Value>,
    ) -> Result<Self, LoadError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        // Statements on lines of their own leave no empty lines behind.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| broken(None, &error))?);
        environment.set_auto_escape_callback(|name| {
            if Path::new(name).extension().is_some_and(|extension| extension == "html") {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        let layouts: BTreeSet<String> =
            sources.keys().filter(|path| path.ends_with(&format!("/{LAYOUT}"))).cloned().collect();
        environment.set_path_join_callback(move |name, parent| {
            let locale = parent.split('/').next().unwrap_or(DEFAULT_LOCALE);
            let own = format!("{locale}/{name}");
            Cow::Owned(if layouts.contains(&own) { own } else { format!("{DEFAULT_LOCALE}/{name}") })
        });
        let mut locales: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, source) in sources {
            environment
                .add_template_owned(path.clone(), source.clone())
                .map_err(|error| broken(folder, &error))?;
            if let [locale, name, _] = path.split('/').collect::<Vec<_>>()[..] {
                locales.entry(name.to_owned()).or_default().insert(locale.to_owned());
            }
        }
        let templates = Self { environment, locales, samples };
        for (name, locales) in &templates.locales {
            for locale in locales {
                templates.preview(name, locale, "example.org").map_err(|error| match error {
                    RenderError::Template { file, line, reason } => {
                        LoadError::Broken { path: located(folder, &file), line, reason }
                    }
                    other => LoadError::Broken {
                        path: located(folder, &format!("{locale}/{name}")),
                        line: 0,
                        reason: other.to_string(),
                    },
                })?;
            }
        }
        Ok(templates)
    }

    /// Names of all templates, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.locales.keys().map(String::as_str)
    }

    /// Renders `template` in the best locale there is for `locale`: `de-AT`, then `de`, then `en`.
    ///
    /// Values named `link` or `…_url` must be http or https links; other texts are cut at 200 characters.
    ///
    /// # Errors
    /// When the template is unknown, lacks a value, or a link is none.
    pub fn render(&self, template: &str, locale: &str, context: &Value) -> Result<Rendered, RenderError> {
        let locale = self.locale(template, locale)?;
        let context = minijinja::Value::from(Serde(clean_context(context)?));
        let part = |part: &str| {
            let name = format!("{locale}/{template}/{part}");
            self.environment
                .get_template(&name)
                .and_then(|compiled| compiled.render(context.clone()))
                .map_err(|error| template_error(&error))
        };
        let [subject, text, html] = PARTS;
        Ok(Rendered {
            subject: clean_line(&part(subject)?, SUBJECT_LIMIT),
            text: part(text)?.trim().to_owned() + "\n",
            html: part(html)?,
        })
    }

    /// Renders `template` with its example values, to look at.
    ///
    /// # Errors
    /// As [`Templates::render`].
    pub fn preview(&self, template: &str, locale: &str, product_name: &str) -> Result<Rendered, RenderError> {
        let mut context = self.samples.get(template).cloned().unwrap_or_default();
        if let Value::Object(values) = &mut context {
            values.insert("product_name".into(), product_name.into());
        }
        self.render(template, locale, &context)
    }

    fn locale(&self, template: &str, wanted: &str) -> Result<&str, RenderError> {
        let known = self.locales.get(template).ok_or_else(|| RenderError::Unknown(template.to_owned()))?;
        let language = wanted.split(['-', '_']).next().unwrap_or(DEFAULT_LOCALE);
        Ok([wanted, language]
            .into_iter()
            .find_map(|tag| known.get(tag))
            .map_or(DEFAULT_LOCALE, String::as_str))
    }
}

/// Puts the operator's files over the compiled-in ones.
fn overlay(
    folder: &Path,
    sources: &mut BTreeMap<String, String>,
    samples: &BTreeMap<String, Value>,
) -> Result<(), LoadError> {
    let mut own = BTreeSet::new();
    for locale in entries(folder)? {
        for entry in entries(&locale)? {
            let files = if entry.is_dir() { entries(&entry)? } else { vec![entry] };
            for path in files {
                let relative = relative(folder, &path);
                let known = match relative.split('/').collect::<Vec<_>>()[..] {
                    [_, LAYOUT] => true,
                    [_, name, part] => samples.contains_key(name) && PARTS.contains(&part),
                    _ => false,
                };
                if !known {
                    let names = samples.keys().cloned().collect::<Vec<_>>().join(",");
                    return Err(LoadError::Useless { path, names, parts: PARTS.join(",") });
                }
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
                own.insert(relative.clone());
                sources.insert(relative, text);
            }
        }
    }
    for relative in own {
        if let [locale, name, _] = relative.split('/').collect::<Vec<_>>()[..] {
            for part in PARTS {
                let needed = format!("{locale}/{name}/{part}");
                if !sources.contains_key(&needed) {
                    return Err(LoadError::Missing { path: folder.join(needed), parts: PARTS.join(", ") });
                }
            }
        }
    }
    Ok(())
}

/// What a folder holds, sorted; what begins with a dot belongs to editors and file systems.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn relative(folder: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(folder).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn unreadable(path: &Path, error: &std::io::Error) -> LoadError {
    LoadError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

fn broken(folder: Option<&Path>, error: &minijinja::Error) -> LoadError {
    LoadError::Broken {
        path: located(folder, error.name().unwrap_or_default()),
        line: error.line().unwrap_or_default(),
        reason: words(error),
    }
}

/// Where an operator finds the file: in their folder, unless it is one of ours.
fn located(folder: Option<&Path>, file: &str) -> PathBuf {
    folder.map(|folder| folder.join(file)).filter(|path| path.exists()).unwrap_or_else(|| file.into())
}

fn template_error(error: &minijinja::Error) -> RenderError {
    // An error in the layout comes wrapped in one that only says where the layout was used.
    let mut inner = error;
    while let Some(source) = std::error::Error::source(inner).and_then(|source| source.downcast_ref()) {
        inner = source;
    }
    RenderError::Template {
        file: inner.name().unwrap_or_default().to_owned(),
        line: inner.line().unwrap_or_default(),
        reason: words(inner),
    }
}

/// Kind and detail without the location, which is told separately.
fn words(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// The context as templates may see it.
fn clean_context(context: &Value) -> Result<Value, RenderError> {
    fn clean(name: &str, value: &Value) -> Result<Value, RenderError> {
        Ok(match value {
            Value::String(text) if name == "link" || name.ends_with("_url") => {
                Value::String(clean_link(name, text)?)
            }
            Value::String(text) => Value::String(clean_line(text, VALUE_LIMIT)),
            Value::Array(values) => {
                Value::Array(values.iter().map(|value| clean(name, value)).collect::<Result<_, _>>()?)
            }
            Value::Object(values) => Value::Object(
                values.iter().map(|(name, value)| Ok((name.clone(), clean(name, value)?))).collect::<Result<
                    _,
                    RenderError,
                >>(
                )?,
            ),
            other => other.clone(),
        })
    }
    clean("", context)
}

/// Parsed and written again, so that what is shown is what was checked.
fn clean_link(name: &str, link: &str) -> Result<String, RenderError> {
    let refused = || RenderError::Link(name.to_owned());
    let url = Url::parse(link).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") || url.as_str().len() > LINK_LIMIT {
        return Err(refused());
    }
    Ok(url.into())
}

/// One line of at most `limit` characters, without control characters (header injection) and without those
/// that reorder or hide text (spoofing; Unicode UAX #9 and UTS #39).
fn clean_line(text: &str, limit: usize) -> String {
    let visible = |c: char| {
        let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}');
        if c.is_control() || c.is_whitespace() {
            Some(' ')
        } else if invisible {
            None
        } else {
            Some(c)
        }
    };
    let one_line: String = text.chars().filter_map(visible).collect();
    let spaced = one_line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if spaced.chars().count() <= limit {
        return spaced;
    }
    spaced.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
