//! Mails as an operator looks at them, and templates of the operator's own.

use std::fs;
use std::path::Path;

use crate::support::program::{Ended, program, run};

const COMPLETE: [(&str, &str); 5] = [
    ("DATABASE_URL", "postgres://auth@127.0.0.1:1/app"),
    ("SIGNING_KEY_ENCRYPTION_KEY", "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ"),
    ("ADMIN_SECRET", "0123456789abcdef0123456789abcdef01234567"),
    ("WEBAUTHN_RP_ID", "example.com"),
    ("WEBAUTHN_RP_ORIGIN", "https://login.example.com"),
];

fn preview(words: &[&str], folder: Option<&Path>) -> Ended {
    let mut command = program(&[&["mail", "preview"], words].concat());
    command.env("MAIL_TEMPLATES", folder.unwrap_or(Path::new("")));
    run(command)
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_mail_is_shown_in_the_language_asked_for() {
    let english = preview(&["magic_link", "--product-name", "Shop"], None);
    assert_eq!(english.code, Some(0), "{}", english.said());
    assert!(english.stdout.starts_with("Subject: 314159 signs you in at Shop\n\n"), "{}", english.stdout);
    assert!(english.stdout.contains("#token=ml_"));
    let german = preview(&["magic_link", "--locale", "de"], None);
    assert!(german.stdout.contains("ist Ihr Code"), "{}", german.stdout);
    let unknown = preview(&["magic_lynk"], None);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(2), ""));
    assert!(unknown.stderr.contains("magic_link"), "{}", unknown.stderr);
}

#[test]
fn mails_are_written_to_a_folder_to_be_opened() {
    let out = tempfile::tempdir().unwrap();
    let ended = preview(&["all", "--out", out.path().to_str().unwrap()], None);
    assert_eq!(ended.code, Some(0), "{}", ended.said());
    let mut files: Vec<String> = fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files.len(), ended.stdout.lines().count());
    assert!(
        files.contains(&"magic_link.en.html".to_owned()) && files.contains(&"magic_link.en.txt".to_owned())
    );
    let html = fs::read_to_string(out.path().join("magic_link.en.html")).unwrap();
    assert!(html.starts_with("<!doctype html>"));
}

#[test]
fn a_file_of_the_operators_replaces_the_one_that_was_built_in() {
    let own = folder(&[("en/magic_link/subject.txt", "Your way into {{ product_name }}")]);
    let ended = preview(&["magic_link"], Some(own.path()));
    assert!(ended.stdout.starts_with("Subject: Your way into example.com\n"), "{}", ended.said());
}

#[test]
fn a_broken_template_refuses_the_start_and_names_file_and_line() {
    let own = folder(&[(
        "en/magic_link/body.txt",
        "fine\n{{ link }}\n{% if code %}\n{{ code | nonsense }}\n{% endif %}",
    )]);
    let mut command = program(&["serve", "--address", "127.0.0.1:0"]);
    command.envs(COMPLETE).env("MAIL_TEMPLATES", own.path());
    for ended in [run(command), preview(&["verify_email"], Some(own.path()))] {
        assert_eq!(ended.code, Some(2), "{}", ended.said());
        let place = format!("{}:4: ", own.path().join("en/magic_link/body.txt").display());
        assert!(ended.stderr.contains(&place), "{place} in {}", ended.stderr);
    }
}
