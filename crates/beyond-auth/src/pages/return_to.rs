//! Where a person goes once done: to the application, by an exact origin of the operator's list.

use url::{Url, form_urlencoded};

/// The parameter that names the page of the application.
const PARAMETER: &str = "redirect_to";

/// The target that a page's query asks for, as it was parsed, if its origin is `allowed`; browsers never see what was
/// sent. Asking twice is asking for none: two readers could take different ones.
pub(super) fn return_to(query: Option<&str>, allowed: &[String]) -> Option<Url> {
    let mut targets = form_urlencoded::parse(query?.as_bytes()).filter(|(name, _)| name == PARAMETER);
    let (_, target) = targets.next()?;
    if targets.next().is_some() {
        return None;
    }
    let target = Url::parse(&target).ok()?;
    let web = matches!(target.scheme(), "https" | "http");
    let bare = target.username().is_empty() && target.password().is_none();
    let origin = target.origin().ascii_serialization();
    (web && bare && allowed.contains(&origin)).then_some(target)
}

/// The query that carries a target to the next page; empty where there is none.
pub(super) fn carry(target: Option<&Url>) -> String {
    target.map_or_else(String::new, |target| {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair(PARAMETER, target.as_str()).finish();
        format!("?{query}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(target: &str) -> Option<String> {
        let allowed = ["https://app.example.com".to_owned(), "http://localhost:3000".to_owned()];
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(PARAMETER, target).finish();
        return_to(Some(&query), &allowed).map(Into::into)
    }

    #[test]
    fn a_page_of_a_listed_origin_is_returned_to() {
        for (target, written) in [
            ("https://app.example.com", "https://app.example.com/"),
            ("https://APP.example.com:443/a?b=c#d", "https://app.example.com/a?b=c#d"),
            ("http://localhost:3000/x y", "http://localhost:3000/x%20y"),
            // Browsers read a backslash as a slash; written anew there is none left.
            ("https:\\\\app.example.com\\a", "https://app.example.com/a"),
            ("https:app.example.com", "https://app.example.com/"),
        ] {
            assert_eq!(back(target).as_deref(), Some(written));
        }
    }

    #[test]
    fn anything_else_stays() {
        for target in [
            "",
            "/",
            "//app.example.com",
            "app.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.test",
            "https://app.example.com@evil.test",
            "https://evil.test@app.example.com",
            "https://a:b@app.example.com",
            "https://evil.test/https://app.example.com",
            "https://evil.test\\@app.example.com",
            "https://app.example.com%00.evil.test",
            "https://app.example.com\u{2024}evil.test",
            "https://sub.app.example.com",
            "http://localhost:3001",
            "javascript:alert(1)//https://app.example.com",
            "data:text/html,x",
            "blob:https://app.example.com/1",
            "null",
        ] {
            assert_eq!(back(target), None, "{target}");
        }
    }

    #[test]
    fn a_target_is_carried_on_as_one_value() {
        let target = Url::parse("https://app.example.com/a?b=c&d").unwrap();
        let query = carry(Some(&target));
        assert_eq!(query, "?redirect_to=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc%26d");
        assert_eq!(return_to(query.strip_prefix('?'), &["https://app.example.com".to_owned()]), Some(target));
        assert_eq!(carry(None), "");
        let twice = "redirect_to=https://app.example.com/&redirect_to=https://app.example.com/";
        assert_eq!(return_to(Some(twice), &["https://app.example.com".to_owned()]), None);
    }
}
