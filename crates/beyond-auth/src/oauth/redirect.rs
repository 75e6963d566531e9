//! Where people go afterwards: to the application, by an exact origin that the operator has named.

use url::Url;

use crate::app::App;
use crate::platform::config::Origin;
use crate::settings::Settings;

/// Longest address to return to, in bytes.
const LIMIT: usize = 2048;
/// What we add ourselves. An address that brings its own could make an application read the wrong one.
const OURS: [&str; 6] = ["code", "state", "error", "iss", "linked", "provider"];

/// The address to return to, as it was parsed, if its origin is our own or one that the operator has named: by
/// `--oauth-allowed-redirect-origins`, or in the settings.
pub fn allowed(app: &App, settings: &Settings, text: &str) -> Option<Url> {
    parse(text).filter(|url| {
        let own = app.config.public_url.origin() == url.origin();
        let named = app.config.oauth_allowed_redirect_origins.iter().any(|origin| origin.covers(url));
        let origin = url.origin().ascii_serialization();
        own || named || settings.allowed_origins.contains(&origin)
    })
}

fn parse(text: &str) -> Option<Url> {
    // Parsers drop line breaks and blanks without a word: whoever writes them means no address of ours.
    if text.len() > LIMIT || text.chars().any(char::is_control) {
        return None;
    }
    let mut url = Url::parse(text).ok()?;
    let web = matches!(url.scheme(), "https" | "http") && Origin::of(&url).is_some();
    let bare = url.username().is_empty() && url.password().is_none();
    if url.query_pairs().any(|(name, _)| OURS.contains(&&*name)) {
        let pairs = url.query_pairs().into_owned();
        let kept: Vec<_> = pairs.filter(|(name, _)| !OURS.contains(&name.as_str())).collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    (web && bare && url.as_str().len() <= LIMIT).then_some(url)
}

/// The address with what there is to say.
pub fn with(mut url: Url, said: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(said);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_without_credentials() {
        for text in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a@app.example",
            "https://a:b@app.example",
            "https://app.example/\r\nset-cookie: a=b",
            "https://app.exa\tmple/",
            "blob:https://app.example/1",
            "myapp://callback",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let long = format!("https://app.example/{}", "a".repeat(LIMIT));
        assert_eq!(parse(&long), None);
    }

    #[test]
    fn what_we_say_is_said_by_us_alone() {
        let url = parse("https://app.example/x?a=1&code=stolen&error=&b=%26").unwrap();
        assert_eq!(url.as_str(), "https://app.example/x?a=1&b=%26");
        assert_eq!(
            with(url, &[("code", "c&d"), ("state", "s")]).as_str(),
            "https://app.example/x?a=1&b=%26&code=c%26d&state=s"
        );
        assert_eq!(parse("https://app.example/?code=1").unwrap().as_str(), "https://app.example/");
    }
}
