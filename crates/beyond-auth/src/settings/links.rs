//! What every mail of the project has in common: where its links lead, what it calls the product; and where people may
//! be sent afterwards.

use serde_json::Value;
use url::Url;

use super::flow;
use super::model::Settings;
use crate::platform::db::Conn;

/// The frame of a mail, as the settings are while it is written.
#[derive(Clone, Debug)]
pub struct MailFrame {
    /// The settings in force.
    pub settings: Settings,
    base: Url,
}

impl MailFrame {
    /// Reads the settings. Links lead to `links.base_url`, or to `public_url`; never to what a request says.
    pub async fn load(conn: &mut Conn, public_url: &Url) -> Result<Self, sqlx::Error> {
        let settings = flow::load(conn).await?;
        let base = settings.links.base_url.as_deref().and_then(|base| Url::parse(base).ok());
        Ok(Self { settings, base: base.unwrap_or_else(|| public_url.clone()) })
    }

    /// A link to a page. What is secret stands in the fragment: browsers send it nowhere.
    pub fn link(&self, path: &str, fragment: Option<&str>) -> Url {
        let mut link = self.base.clone();
        link.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        link.set_query(None);
        link.set_fragment(fragment);
        link
    }

    /// The values of a mail, with the product's name where the project has set one.
    #[must_use]
    pub fn fill(&self, mut values: Value) -> Value {
        if let (Value::Object(values), Some(name)) = (&mut values, &self.settings.branding.name) {
            values.insert("product_name".to_owned(), name.clone().into());
        }
        values
    }
}

/// Longest address to return to, in bytes: it has to fit into a mailed link.
const RETURN_LIMIT: usize = 512;

/// Where somebody may be sent after signing in: an address of the service itself or of an origin that the operator has
/// listed, compared exactly. What is handed on is what was parsed, not what was written.
pub fn return_address(settings: &Settings, public_url: &Url, text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let origin = url.origin();
    let listed = || {
        let origin = origin.ascii_serialization();
        settings.allowed_origins.contains(&origin)
    };
    let bare = url.username().is_empty() && url.password().is_none();
    let known = origin.is_tuple() && (origin == public_url.origin() || listed());
    (bare && known && url.as_str().len() <= RETURN_LIMIT).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Option<String> {
        let settings =
            Settings { allowed_origins: vec!["https://app.example.com".into()], ..Settings::default() };
        let own = Url::parse("https://auth.example.com").unwrap();
        return_address(&settings, &own, text).map(String::from)
    }

    #[test]
    fn people_return_to_exact_origins_only() {
        assert_eq!(
            allowed("https://app.example.com/a?b#c").as_deref(),
            Some("https://app.example.com/a?b#c")
        );
        assert_eq!(allowed("HTTPS://APP.example.com:443/../x").as_deref(), Some("https://app.example.com/x"));
        assert_eq!(allowed("https://auth.example.com").as_deref(), Some("https://auth.example.com/"));
        for text in [
            "",
            "/welcome",
            "//evil.example",
            "https:app.example.com.evil.example",
            "https://app.example.com.evil.example/",
            "https://app.example.com:8443/",
            "http://app.example.com/",
            "https://app.example.com@evil.example/",
            "https://user@app.example.com/",
            "https://evil.example/\u{ff03}@app.example.com",
            "https://evil.example\\@app.example.com",
            "https://sub.app.example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "null",
        ] {
            assert_eq!(allowed(text), None, "{text}");
        }
        assert_eq!(allowed(&format!("https://app.example.com/{}", "a".repeat(600))), None);
    }

    #[test]
    fn a_link_keeps_the_path_of_its_base_and_nothing_else() {
        let frame = |base: &str| MailFrame { settings: Settings::default(), base: Url::parse(base).unwrap() };
        let link = frame("https://app.example.com/login/?x=1#y").link("/auth/sign-in", Some("token=t"));
        assert_eq!(link.as_str(), "https://app.example.com/login/auth/sign-in#token=t");
        assert_eq!(
            frame("https://a.example").link("/auth/account", None).as_str(),
            "https://a.example/auth/account"
        );
    }
}
