//! What pages say, in every language they speak.
//!
//! A language is one file, `texts.<language>.js`: scripts import it, templates get the same object as `t`.

use std::sync::LazyLock;

use minijinja::value::{Serde, Value};

/// A language and what it says.
#[derive(Debug)]
pub(super) struct Texts {
    /// For `lang` attributes and the name of the script.
    pub(super) language: &'static str,
    /// The object of the file.
    pub(super) texts: Value,
}

/// The first one is spoken to whoever asks for none of them.
static LANGUAGES: LazyLock<[Texts; 2]> = LazyLock::new(|| {
    [
        Texts { language: "en", texts: read(super::template!("texts.en.js")) },
        Texts { language: "de", texts: read(super::template!("texts.de.js")) },
    ]
});

/// The texts for somebody who reads `language`.
pub(super) fn of(language: Option<&str>) -> &'static Texts {
    let [fallback, ..] = &*LANGUAGES;
    LANGUAGES.iter().find(|texts| Some(texts.language) == language).unwrap_or(fallback)
}

/// The JSON that a module exports. Written by us, and a test reads it.
fn read(module: &str) -> Value {
    let json = module.trim().strip_prefix("export default").unwrap_or_default().trim_end_matches(';');
    let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    Value::from(Serde(json))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(value: &Value, within: &str, found: &mut BTreeSet<String>) {
        for key in value.try_iter().unwrap() {
            let inner = value.get_item(&key).unwrap();
            let name = format!("{within}.{key}");
            if inner.kind() == minijinja::value::ValueKind::Map {
                names(&inner, &name, found);
            } else {
                let filled = inner.as_str().is_some_and(|text| !text.trim().is_empty());
                assert!(filled, "{name} says nothing");
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_language_says_the_same_things() {
        let [english, others @ ..] = &*LANGUAGES;
        let mut expected = BTreeSet::new();
        names(&english.texts, "", &mut expected);
        assert!(expected.len() > 100, "{expected:?}");
        // The API speaks English itself; other languages say its errors anew.
        expected.retain(|name| !name.starts_with(".errors."));
        for other in others {
            let mut found = BTreeSet::new();
            names(&other.texts, "", &mut found);
            found.retain(|name| !name.starts_with(".errors."));
            assert_eq!(found, expected, "{}", other.language);
        }
    }

    #[test]
    fn who_reads_another_language_gets_english() {
        assert_eq!(of(Some("de")).language, "de");
        for other in [None, Some("fr"), Some("")] {
            assert_eq!(of(other).language, "en");
        }
    }
}
