//! The arrows of ARCHITECTURE.md, held as tables. A change that needs a new arrow adds it here, in sight.

mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use scan::{Named, scan};

/// Who may name whom. Left: a room, or one part of it that stands higher or lower than the rest; the longest
/// match counts, `*` stands for any slice. Right: rooms, or the only parts of them that may be named.
/// Platform and the room itself are always allowed and not repeated.
const ARROWS: &[(&str, &[&str])] = &[
    // Plumbing knows no feature; the state holds handles to plumbing.
    ("platform", &[]),
    ("app", &[]),
    // What every slice may lean on.
    ("audit", &[]),
    ("settings", &["audit"]),
    ("users", &["audit", "settings"]),
    ("emails", &["audit", "settings", "users"]),
    ("sessions", &["audit", "settings", "users"]),
    ("refresh", &["audit", "sessions", "settings", "users"]),
    ("signing_keys", &["audit", "sessions", "settings"]),
    ("orgs", &["audit", "emails", "sessions", "settings", "users"]),
    ("api_keys", &["audit", "orgs", "sessions", "users"]),
    // A factor proves, `sign_in` decides and mints; `sign_out` ends sessions with what could renew them.
    ("sign_in", &["audit", "orgs", "refresh", "sessions", "settings", "users"]),
    ("sign_out", &["audit", "refresh", "sessions", "sign_in", "users"]),
    ("totp", &["audit", "emails", "sessions", "settings", "sign_in", "sign_out", "users"]),
    ("magic_link", &["audit", "emails", "sessions", "settings", "sign_in", "users"]),
    ("identities", &["audit", "emails", "settings", "sessions", "users"]),
    ("oauth", &["audit", "emails", "identities", "sessions", "settings", "sign_in", "users"]),
    ("password", &["audit", "emails", "sessions", "settings", "sign_in", "sign_out", "users"]),
    ("passkeys", &["audit", "emails", "sessions", "settings", "sign_in", "totp", "users"]),
    // Use cases over several slices: the door that dispatches to the factors, and what leads to it.
    (
        "door",
        &[
            "emails",
            "magic_link",
            "oauth",
            "passkeys",
            "password",
            "refresh",
            "sessions",
            "settings",
            "sign_in",
            "totp",
            "users",
        ],
    ),
    ("sign_up", &["audit", "door", "emails", "password", "settings", "sign_in", "users"]),
    (
        "admin",
        &[
            "api_keys",
            "audit",
            "door",
            "emails",
            "oauth",
            "orgs",
            "passkeys",
            "password",
            "sessions",
            "settings",
            "sign_in",
            "sign_out",
            "signing_keys",
            "totp",
            "users",
        ],
    ),
    ("pages", &["audit", "door", "emails", "password", "sessions", "settings", "sign_in", "users"]),
    // Above the slices.
    ("caller", &["api_keys", "app"]),
    ("cors", &["app", "settings"]),
    ("health", &["app"]),
    ("jobs", &["*", "app"]),
    ("router", &["*", "app", "caller", "cors", "health", "jobs"]),
    ("serve", &["*", "app", "jobs", "router"]),
    ("dev", &["*", "app", "serve"]),
    ("cli", &["*", "app", "dev", "router", "serve"]),
    ("main", &["cli"]),
];

/// Breaches that are there on purpose or wait to be mended: module, path or table, reason. One that is no
/// longer needed fails the test.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("admin::store", "auth.users", "a ban is the operator's own act on the row"),
    ("users::store", "auth.sessions", "one statement forgets what was planted before the proof"),
    ("users::store", "auth.refresh_families", "the same statement"),
    ("users::store", "auth.passwords", "the same statement"),
    ("users::store", "auth.sign_in_attempts", "the same statement"),
    ("users::store", "auth.totp_factors", "the same statement"),
    ("users::store", "auth.passkeys", "the same statement"),
    ("users::store", "auth.identities", "the same statement"),
    ("users::store", "auth.totp_recovery_codes", "the same statement"),
    ("users::store", "auth.api_keys", "the same statement"),
    ("emails::store", "auth.users", "the claims that a proof ends, with the sign-ups that were nothing else"),
    ("emails::store", "auth.magic_links", "whatever was mailed to an address ends in one statement"),
    ("emails::store", "auth.password_resets", "the same statement"),
    ("app", "sessions::Verification", "the handle by which waiting verifications share a statement"),
    ("app", "api_keys::Verification", "the same for API keys"),
    ("sessions::store", "auth.revocations", "the feed of what sessions and users leave behind"),
];

/// Any slice may name these: the state that every handler is given.
const EVERY_SLICE: &[&str] = &["app"];

/// These files of any slice are its edge to HTTP: they may also name who calls, and only they may name axum.
/// `admin` and `pages` are edge through and through.
const EDGE: &[&str] = &["routes", "extract", "introspection", "revocations", "cookie"];
const EVERY_EDGE: &[&str] =
    &["caller", "sessions::CurrentSession", "sessions::FreshSession", "sessions::extract"];

/// A slice is a folder; everything else on the first level is the house.
const HOUSE: &[&str] =
    &["platform", "app", "caller", "cli", "cors", "dev", "health", "jobs", "main", "router", "serve"];

/// Paths into the world outside, and the only rooms that may name them.
const CONFINED: &[(&str, &[&str])] = &[
    // SQL put together at run time.
    ("sqlx::AssertSqlSafe", &["platform::db"]),
    // Configuration comes in through one room.
    ("std::env::var", &["platform::config", "cli", "dev", "main"]),
    // NO_COLOR and the like are the terminal's business.
    ("std::env::var_os", &["platform::config", "platform::telemetry", "cli", "dev", "main"]),
    ("std::env::vars", &["platform::config", "cli", "dev", "main"]),
    ("clap", &["platform::config", "cli", "dev", "main"]),
    // One place for each dangerous thing.
    ("argon2", &["platform::crypto"]),
    ("aws_lc_rs::digest", &["dev", "platform"]),
    ("aws_lc_rs", &["platform::crypto"]),
    // What authenticators write is read in one room.
    ("ciborium", &["passkeys::ceremony", "platform::crypto"]),
    ("getrandom", &["platform::crypto"]),
    ("jsonwebtoken", &["platform::crypto"]),
    ("lettre", &["app", "dev", "platform::config", "platform::mail"]),
    ("qrcode", &["platform::qr"]),
    ("totp_rs", &["platform::crypto"]),
    ("minijinja", &["dev", "pages", "platform::mail"]),
    ("reqwest", &["cli", "dev", "platform::config", "platform::outbound"]),
    // HTTP stops at the edge: flows, models and stores know nothing of it.
    (
        "axum",
        &[
            "*::routes",
            "*::extract",
            "*::introspection",
            "*::revocations",
            "*::cookie",
            "admin",
            "pages",
            "platform::http",
            "app",
            "caller",
            "cors",
            "dev",
            "health",
            "jobs",
            "router",
            "serve",
        ],
    ),
];

/// Behind the edge no slice asks the process what time it is: expiry is decided by `now()` in SQL.
const CLOCKS: &[&str] = &["chrono::Utc::now", "std::time::SystemTime"];

/// Above this a file fails; look for the noun that hides in it at about 400.
const LONGEST_FILE: usize = 500;

#[test]
fn every_arrow_between_rooms_is_in_the_table() {
    let sources = sources();
    assert!(sources.len() > 20, "only {} source files found", sources.len());
    let all: Vec<(String, String)> = sources
        .iter()
        .flat_map(|(file, text)| {
            let module = module_of(file).join("::");
            violations(file, text).into_iter().map(move |what| (module.clone(), what))
        })
        .collect();
    let excused = |module: &str, what: &str, exception: &(&str, &str, &str)| {
        module == exception.0 && what.contains(exception.1)
    };
    let found: Vec<&str> = all
        .iter()
        .filter(|(module, what)| !EXCEPTIONS.iter().any(|exception| excused(module, what, exception)))
        .map(|(_, what)| what.as_str())
        .collect();
    let idle: Vec<_> = EXCEPTIONS
        .iter()
        .filter(|exception| !all.iter().any(|(module, what)| excused(module, what, exception)))
        .collect();
    assert!(idle.is_empty(), "these exceptions are no longer needed: {idle:?}");
    assert!(found.is_empty(), "{} breaches of the architecture:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_room_has_a_row_and_every_row_a_room() {
    let rooms: BTreeSet<String> =
        sources().keys().filter_map(|file| module_of(file).first().cloned()).collect();
    let rows: BTreeSet<String> =
        ARROWS.iter().map(|(room, _)| room.split("::").next().unwrap().to_owned()).collect();
    assert_eq!(rooms, rows);
}

#[test]
fn the_table_of_arrows_has_no_cycle() {
    // Kahn: take away rooms that point at nobody left; whatever stays is on a cycle.
    let mut left: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .filter(|(room, _)| !HOUSE.contains(room))
        .map(|(room, to)| (*room, to.iter().copied().collect()))
        .collect();
    loop {
        let done: Vec<&str> = left
            .iter()
            .filter(|(_, to)| !to.iter().any(|to| left.contains_key(to)))
            .map(|(room, _)| *room)
            .collect();
        if done.is_empty() {
            break;
        }
        for room in done {
            left.remove(room);
        }
    }
    assert!(left.is_empty(), "these rows point at each other: {left:?}");
}

#[test]
fn no_file_outgrows_its_room() {
    let long: Vec<String> = sources()
        .iter()
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(file, lines)| format!("{}: {lines} lines, at most {LONGEST_FILE}", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Source files below `src/` by their path from there.
fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// `users/store.rs` is the module `users::store`; `lib.rs` is the root.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// Everything in one file that breaks a rule, one line each.
fn violations(file: &Path, text: &str) -> Vec<String> {
    let module = module_of(file);
    let Some(room) = module.first() else {
        return Vec::new(); // the root only lists its modules
    };
    if module.last().is_some_and(|file| file == "tests" || file.ends_with("_tests")) {
        return Vec::new(); // unit tests in a file of their own may reach anywhere
    }
    let scanned = scan(&module, text);
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(format!("src/{}:{line}: {what}", file.display()));
    for named in &scanned.paths {
        let broken = if named.ours { inner_breach(&module, named) } else { outer_breach(&module, named) };
        if let Some(what) = broken {
            report(named.line, what);
        }
    }
    if is_slice(room) {
        for (line, string) in &scanned.strings {
            for what in string_breaches(&module, string) {
                report(*line, what);
            }
        }
    }
    found
}

fn inner_breach(module: &[String], named: &Named) -> Option<String> {
    let (room, target) = (&module[0], named.path.first()?);
    let path = named.path.join("::");
    let in_store = named.path.get(1).is_some_and(|part| part == "store");
    if room == target {
        let leaks = named.reexport && in_store && is_slice(room);
        return leaks.then(|| format!("`{path}` leaves the slice: a store is for its own flows"));
    }
    if target == "*" {
        return Some("a glob of the crate's root hides arrows: name what is used".to_owned());
    }
    if is_slice(target) && in_store {
        return Some(format!("`{path}` is the store of another slice: call its flow"));
    }
    if is_slice(target) && named.path.last().is_some_and(|last| last == "*") {
        return Some(format!("`{path}` hides arrows: name what is used"));
    }
    if target == "platform" || allowed(module).iter().any(|to| covers(to, &named.path)) {
        return None;
    }
    Some(format!("no arrow leads from `{}` to `{path}`", module.join("::")))
}

/// What the table gives to a module: the row with the longest match, and what its kind of file adds.
fn allowed(module: &[String]) -> Vec<&'static str> {
    let row = ARROWS.iter().filter(|(room, _)| covers(room, module)).max_by_key(|(room, _)| room.len());
    let mut to = row.map(|(_, to)| to.to_vec()).unwrap_or_default();
    if is_slice(&module[0]) {
        to.extend(EVERY_SLICE);
        if is_edge(module) {
            to.extend(EVERY_EDGE);
        }
    }
    to
}

fn outer_breach(module: &[String], named: &Named) -> Option<String> {
    let path = named.path.join("::");
    if is_slice(&module[0]) {
        if named.reexport && named.path.first().is_some_and(|part| part == "store") {
            return Some(format!("`{path}` leaves the slice: a store is for its own flows"));
        }
        if !is_edge(module) && CLOCKS.iter().any(|clock| ends_like(clock, &named.path)) {
            return Some(format!("`{path}`: time is the database's, use now() in SQL"));
        }
        let query = named.path.first().is_some_and(|part| part == "sqlx")
            && named.path.get(1).is_some_and(|part| part.starts_with("query"));
        // A slice that is a single file has its SQL there.
        if query && module.get(1).is_some_and(|part| part != "store") {
            return Some(format!("`{path}`: SQL of a slice stands in its store"));
        }
    }
    let (what, rooms) = CONFINED.iter().find(|(what, _)| ends_like(what, &named.path))?;
    let inside = rooms.iter().any(|room| covers(room, module));
    (!inside).then(|| format!("`{path}`: `{what}` belongs in {}", rooms.join(", ")))
}

/// SQL may write only to the slice's own tables; markup comes from templates.
fn string_breaches(module: &[String], string: &str) -> Vec<String> {
    let words: Vec<String> = string.split_whitespace().map(str::to_ascii_lowercase).collect();
    let text = words.join(" ");
    let mut found = Vec::new();
    if module[0] != "pages" && ["<!doctype", "<html", "<body"].iter().any(|mark| text.contains(mark)) {
        found.push("markup in a slice: it belongs in templates/".to_owned());
    }
    for verb in ["insert into auth.", "update auth.", "delete from auth."] {
        for rest in text.split(verb).skip(1) {
            let table = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap();
            if !owns(&module[0], table) {
                found.push(format!("`{verb}{table}`: writes to the table of another slice"));
            }
        }
    }
    found
}

/// Folder = table prefix: `password` owns `passwords`, `emails` owns `emails` and `email_verifications`.
fn owns(slice: &str, table: &str) -> bool {
    let noun = slice.strip_suffix('s').unwrap_or(slice);
    table.starts_with(noun)
}

fn is_edge(module: &[String]) -> bool {
    module.get(1).is_some_and(|part| EDGE.contains(&part.as_str()))
        || ["admin", "pages"].contains(&module[0].as_str())
}

fn is_slice(room: &str) -> bool {
    !HOUSE.contains(&room)
}

/// Whether `pattern` is a prefix of `path`; a leading `*` stands for any slice.
fn covers(pattern: &str, path: &[String]) -> bool {
    let parts: Vec<&str> = pattern.split("::").collect();
    parts.len() <= path.len()
        && parts.iter().zip(path).all(|(part, name)| part == name || (*part == "*" && is_slice(name)))
}

/// Whether `path` names `what`, in full or through an import of its last parts (`env::var` for
/// `std::env::var`, `Utc::now` for `chrono::Utc::now`).
fn ends_like(what: &str, path: &[String]) -> bool {
    let parts: Vec<&str> = what.split("::").collect();
    (0..parts.len()).any(|skip| {
        let rest = &parts[skip..];
        // A lone last part (`var`) would match too much; a type's name does not.
        let telling = skip == 0 || rest.len() > 1 || rest[0].starts_with(char::is_uppercase);
        telling && rest.len() <= path.len() && rest.iter().zip(path).all(|(part, name)| part == name)
    })
}

/// What is found in a small file, without its place.
fn found_in(file: &str, text: &str) -> Vec<String> {
    violations(Path::new(file), text)
        .into_iter()
        .map(|line| line.splitn(3, ':').nth(2).unwrap().trim().to_owned())
        .collect()
}

#[test]
fn platform_that_knows_a_feature_is_found() {
    let found = found_in("platform/mail/outbox.rs", "use crate::users::model::User;");
    assert_eq!(found, ["no arrow leads from `platform::mail::outbox` to `users::model::User`"]);
    assert!(
        found_in("platform/mail/outbox.rs", "use crate::platform::db::Conn; use super::Transport;")
            .is_empty()
    );
}

#[test]
fn an_arrow_upward_is_found_in_every_spelling() {
    let upward = "no arrow leads from `users::flow` to `admin::flow::ban`";
    for text in [
        "use crate::admin::flow::ban;",
        "use crate::{platform::db::Db, admin::{flow::{ban}}};",
        "fn f() { crate::admin::flow::ban(); }",
        "fn f() { super::super::admin::flow::ban(); }",
        "mod inner { use super::super::super::admin::flow::ban; }",
        "pub(crate) use crate::admin::flow::ban as lock;",
        "/* users */ use crate /* up */ ::admin::flow::ban; // why",
    ] {
        assert_eq!(found_in("users/flow.rs", text), [upward], "{text}");
    }
}

#[test]
fn another_slices_store_is_found_behind_imports_and_aliases() {
    let store = "`users::store::find` is the store of another slice: call its flow";
    for text in [
        "use crate::users::store::find;",
        "use crate::users; fn f() { users::store::find(); }",
        "use crate::users as people; fn f() { people::store::find(); }",
        "use crate::users; use users::store::find;",
    ] {
        assert!(found_in("emails/flow.rs", text).iter().any(|line| line == store), "{text}");
    }
    assert!(found_in("users/flow.rs", "use super::store; fn f() { store::find(); }").is_empty());
    assert_eq!(
        found_in("emails/flow.rs", "use crate::users::*;"),
        ["`users::*` hides arrows: name what is used"]
    );
    for text in ["pub use store::find;", "pub(crate) use self::store::find;"] {
        assert_eq!(found_in("users/mod.rs", text).len(), 1, "{text}");
    }
}

#[test]
fn only_the_edge_of_a_slice_knows_http_and_callers() {
    let text = "use axum::Json; use crate::caller::Caller; use crate::sessions::CurrentSession;";
    assert!(found_in("users/routes.rs", text).is_empty());
    assert_eq!(found_in("users/flow.rs", text).len(), 3);
    assert!(found_in("users/flow.rs", "use crate::app::App;").is_empty());
    assert_eq!(found_in("users/flow.rs", "use crate::serve::start;").len(), 1);
}

#[test]
fn confined_things_are_found_outside_their_room() {
    for text in [
        "use std::env; fn f() { env::var(\"A\"); }",
        "fn f() { std::env::var(\"A\"); }",
        "use std::env::var;",
        "use sqlx::AssertSqlSafe;",
        "fn f() { sqlx::query(AssertSqlSafe::from(s)); }",
        "use argon2::Argon2;",
    ] {
        assert!(!found_in("platform/limits.rs", text).is_empty(), "{text}");
    }
    assert!(found_in("platform/config/args.rs", "fn f() { std::env::var(\"A\"); }").is_empty());
    assert!(found_in("platform/db/migrate.rs", "use sqlx::AssertSqlSafe;").is_empty());
    assert_eq!(found_in("sessions/flow.rs", "use chrono::Utc; fn f() { Utc::now(); }").len(), 1);
}

#[test]
fn sql_is_found_outside_a_store_and_on_foreign_tables() {
    let write = "fn f() { sqlx::query!(\"UPDATE auth.users\n SET name = $1\"); }";
    assert!(found_in("users/store.rs", write).is_empty());
    assert_eq!(found_in("users/flow.rs", write), ["`sqlx::query`: SQL of a slice stands in its store"]);
    assert_eq!(
        found_in("emails/store.rs", write),
        ["`update auth.users`: writes to the table of another slice"]
    );
    let two = "const A: &str = \"WITH a AS (DELETE FROM auth.emails) DELETE FROM auth.passwords\";";
    assert_eq!(found_in("emails/store.rs", two).len(), 1);
    let verification =
        "fn f() { sqlx::query!(r#\"insert into auth.email_verifications (id) values ($1)\"#); }";
    assert!(found_in("emails/store.rs", verification).is_empty());
    assert_eq!(found_in("users/routes.rs", "const PAGE: &str = \"<!doctype html><p>\";").len(), 1);
}

#[test]
fn comments_strings_and_unit_tests_do_not_count() {
    for text in [
        "// use crate::admin::flow::ban;",
        "/* /* nested */ use crate::admin::flow::ban; */",
        "const A: &str = \"crate::admin::flow::ban\";",
        "const A: &str = r#\"say \"crate::admin::x\" \"#;",
        "const A: char = '\"'; const B: &str = \"crate::admin::x\"; fn f<'a>(x: &'a str) {}",
        "#[cfg(test)]\nmod tests { use crate::admin::flow::ban; fn f() { if x { y() } } }",
    ] {
        assert!(found_in("users/flow.rs", text).is_empty(), "{text}");
    }
    let after = "#[cfg(test)] mod tests { fn f() {} }\nuse crate::admin::flow::ban;";
    assert_eq!(found_in("users/flow.rs", after).len(), 1);
    let place = violations(Path::new("users/flow.rs"), "\n\"two\nlines\";\nuse crate::admin::flow::ban;");
    assert!(place[0].starts_with("src/users/flow.rs:4: "), "{place:?}");
}
