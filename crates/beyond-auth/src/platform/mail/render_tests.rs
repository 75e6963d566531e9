use super::*;
use serde_json::json;

fn embedded() -> Templates {
    Templates::load(None).unwrap()
}

/// A folder of the operator's that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("beyond-auth-mail-{}", uuid::Uuid::now_v7().simple()));
        for (path, text) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn verify_email(product_name: &str) -> Value {
    json!({
        "product_name": product_name, "code": "271828", "hours": 24,
        "link": "https://auth.example.org/verify-email#token=ev_1",
    })
}

/// Locales that are complete.
const LOCALES: [&str; 2] = ["de", "en"];

#[test]
fn every_embedded_template_has_all_parts_an_example_and_its_links_in_both_parts() {
    let templates = embedded();
    assert!(templates.names().count() >= 17);
    for (name, locale) in templates.names().flat_map(|name| LOCALES.map(|locale| (name, locale))) {
        let sample = &templates.samples[name];
        let mail = templates.preview(name, locale, "Example Shop").unwrap();
        assert!(mail.subject.contains("Example Shop"), "{locale}/{name}: {}", mail.subject);
        assert!(!mail.text.contains(['{', '<']), "{locale}/{name}: {}", mail.text);
        assert!(!mail.text.contains("\n\n\n"), "{locale}/{name} has gaps: {}", mail.text);
        assert!(mail.html.starts_with("<!doctype html>"), "{locale}/{name}");
        assert!(mail.html.contains(&format!("<html lang=\"{locale}\">")), "{locale}/{name}");
        for (key, value) in sample.as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(mail.text.contains(&value), "{locale}/{name}: the text lacks {key}");
            assert!(
                mail.html.replace("&#x2f;", "/").contains(&value),
                "{locale}/{name}: the HTML lacks {key}"
            );
        }
    }
}

#[test]
fn every_embedded_template_is_there_in_every_language() {
    let templates = embedded();
    for (name, locales) in &templates.locales {
        assert!(locales.iter().eq(LOCALES), "{name}: {locales:?}");
        // A translation says something else than the original.
        let [de, en] = LOCALES.map(|locale| templates.preview(name, locale, "Example Shop").unwrap());
        assert!(de.subject != en.subject && de.text != en.text && de.html != en.html, "{name}");
    }
}

#[test]
fn values_are_escaped_in_html_and_left_alone_in_text() {
    let mail = embedded().render("verify_email", "en", &verify_email("<b>R&D</b>")).unwrap();
    assert!(mail.text.contains("<b>R&D</b>"));
    assert!(!mail.html.contains("<b>R&D"));
    assert!(mail.html.contains("&lt;b&gt;R&amp;D&lt;&#x2f;b&gt;"));
}

#[test]
fn a_value_cannot_begin_a_new_line_or_header() {
    let mail = embedded()
        .render("verify_email", "en", &verify_email("Shop\r\nBcc: eve@example.org\0\u{85}x"))
        .unwrap();
    assert!(!mail.subject.contains(|c: char| c.is_control()));
    assert!(mail.text.contains("Shop Bcc: eve@example.org x"));
}

#[test]
fn a_value_cannot_reorder_or_hide_text() {
    assert_eq!(clean_line("a\u{202e}b\u{200b}c\u{feff}d\u{2066}e\u{e0041}f", 200), "abcdef");
}

#[test]
fn a_long_value_and_a_long_subject_are_cut() {
    let mail = embedded().render("verify_email", "en", &verify_email(&"é".repeat(100_000))).unwrap();
    assert_eq!(mail.subject.chars().count(), SUBJECT_LIMIT);
    assert!(mail.text.len() < 4_000);
}

#[test]
fn a_link_that_is_none_or_too_long_is_an_error() {
    for link in [
        "javascript:alert(1)",
        "data:text/html,x",
        "/verify",
        "",
        &format!("https://a.example/{}", "x".repeat(2_000)),
    ] {
        let mut context = verify_email("Shop");
        context["link"] = link.into();
        let error = embedded().render("verify_email", "en", &context).unwrap_err();
        assert_eq!(error, RenderError::Link("link".into()));
    }
}

#[test]
fn a_link_cannot_break_out_of_its_attribute_or_line() {
    let mut context = verify_email("Shop");
    context["link"] = "https://a.example/\"><script>\n\r#t=\"'<x>".into();
    let mail = embedded().render("verify_email", "en", &context).unwrap();
    assert!(!mail.html.contains("<script>"));
    assert!(!mail.html.contains("<x>"));
}

#[test]
fn a_missing_value_is_an_error_that_names_template_and_line() {
    let error =
        embedded().render("verify_email", "en", &json!({ "product_name": "Shop", "code": "1" })).unwrap_err();
    let RenderError::Template { file, line, .. } = error else { panic!("{error}") };
    assert_eq!(file, "en/verify_email/body.txt");
    assert!(line > 1);
}

#[test]
fn an_unknown_template_is_an_error() {
    assert_eq!(embedded().render("nope", "en", &json!({})).unwrap_err(), RenderError::Unknown("nope".into()));
}

#[test]
fn an_unknown_locale_falls_back_to_english() {
    let templates = embedded();
    for locale in ["fr", "fr-CA", "", "../../etc"] {
        assert_eq!(
            templates.render("verify_email", locale, &verify_email("Shop")).unwrap(),
            templates.render("verify_email", "en", &verify_email("Shop")).unwrap()
        );
    }
}

#[test]
fn the_operators_file_replaces_ours_and_the_others_stay() {
    let folder =
        Folder::with(&[("en/verify_email/subject.txt", "Welcome to {{ product_name }}: {{ code }}\n")]);
    let templates = Templates::load(Some(&folder.0)).unwrap();
    let mail = templates.render("verify_email", "en", &verify_email("Shop")).unwrap();
    assert_eq!(mail.subject, "Welcome to Shop: 271828");
    assert!(mail.text.contains("finish signing up at Shop"));
}

#[test]
fn the_operators_locale_is_used_for_its_regions_with_its_own_layout() {
    let folder = Folder::with(&[
        ("de/layout.html", "<p>Rahmen</p>{% block content %}{% endblock %}"),
        ("de/verify_email/subject.txt", "Bitte bestätigen"),
        ("de/verify_email/body.txt", "{{ code }} {{ link }}"),
        (
            "de/verify_email/body.html",
            "{% extends \"layout.html\" %}{% block content %}{{ code }}{% endblock %}",
        ),
    ]);
    let templates = Templates::load(Some(&folder.0)).unwrap();
    let mail = templates.render("verify_email", "de-AT", &verify_email("Shop")).unwrap();
    assert_eq!((mail.subject.as_str(), mail.html.as_str()), ("Bitte bestätigen", "<p>Rahmen</p>271828"));
    let english = templates.render("address_taken", "de", &templates.samples["address_taken"]);
    assert!(english.is_err_and(|error| matches!(error, RenderError::Template { .. })), "lacks product_name");
}

#[test]
fn a_broken_file_of_the_operator_is_refused_with_its_path_and_line() {
    for text in [
        "Hello\n\n{{ link",
        "Hello\n\n{{ lnik }}",
        "Hello\n\n{{ link|nonsense }}",
        "Hello\n\n{% include 'x' %}",
    ] {
        let folder = Folder::with(&[("en/verify_email/body.txt", text)]);
        let error = Templates::load(Some(&folder.0)).unwrap_err();
        let at = format!("{}:3: ", folder.0.join("en/verify_email/body.txt").display());
        assert!(error.to_string().starts_with(&at), "{text:?}: {error}");
    }
}

#[test]
fn a_broken_layout_of_the_operator_is_refused_with_its_own_path_and_line() {
    let folder = Folder::with(&[("en/layout.html", "<p>\n{{ oops }}\n{% block content %}{% endblock %}")]);
    let error = Templates::load(Some(&folder.0)).unwrap_err();
    let at = format!("{}:2: ", folder.0.join("en/layout.html").display());
    assert!(error.to_string().starts_with(&at), "{error}");
}

#[test]
fn a_file_that_replaces_nothing_is_refused() {
    for path in [
        "en/verify_mail/subject.txt",
        "en/verify_email/subject.html",
        "en/readme.md",
        "en/verify_email/sample.json",
    ] {
        let folder = Folder::with(&[(path, "x")]);
        assert!(matches!(Templates::load(Some(&folder.0)), Err(LoadError::Useless { .. })), "{path}");
    }
}

#[test]
fn an_incomplete_template_in_another_locale_is_refused() {
    let folder = Folder::with(&[("fr/verify_email/subject.txt", "Confirmez")]);
    assert!(matches!(Templates::load(Some(&folder.0)), Err(LoadError::Missing { .. })));
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let error = Templates::load(Some(Path::new("/does/not/exist"))).unwrap_err();
    assert!(error.to_string().starts_with("/does/not/exist: "));
}

#[test]
fn what_is_rendered_is_not_in_its_debug_form() {
    let mail = embedded().render("verify_email", "en", &verify_email("Shop")).unwrap();
    assert_eq!(format!("{mail:?}"), "Rendered { .. }");
}
