//! What a user agent tells about a device: enough to recognise one's own.

use serde::Serialize;
use utoipa::ToSchema;
use woothee::parser::Parser;

/// A device as a person would describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Description {
    /// `Chrome`, `Firefox`, `Safari`, …
    pub browser: Option<String>,
    /// `Windows 10`, `Mac OSX`, `Android`, …
    pub os: Option<String>,
    /// `pc`, `smartphone`, `mobilephone`, `crawler`, `appliance` or `misc`.
    pub category: Option<String>,
}

/// woothee's word for what it does not know.
const UNKNOWN: &str = "UNKNOWN";

/// Describes a user agent.
pub fn describe(user_agent: Option<&str>) -> Description {
    let Some(parsed) = user_agent.and_then(|agent| Parser::new().parse(agent)) else {
        return Description::default();
    };
    let known = |word: &str| (word != UNKNOWN && !word.is_empty()).then(|| word.to_owned());
    Description { browser: known(parsed.name), os: known(parsed.os), category: known(parsed.category) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_browsers_are_recognised() {
        let chrome = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/126.0.0.0 Safari/537.36";
        let description = describe(Some(chrome));
        assert_eq!(description.browser.as_deref(), Some("Chrome"));
        assert_eq!(description.os.as_deref(), Some("Mac OSX"));
        assert_eq!(description.category.as_deref(), Some("pc"));
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        assert_eq!(describe(None), Description::default());
        assert_eq!(describe(Some("\u{1f980}")), Description::default());
    }
}
