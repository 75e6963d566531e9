//! The configuration table of the documents, generated from the flags, and that it has not drifted.
//!
//! `UPDATE=1 cargo test -p beyond-auth --lib reference` rewrites it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};

use super::definition;

const BEGIN: &str = "<!-- config:begin -->";
const END: &str = "<!-- config:end -->";

#[test]
fn the_documents_hold_the_table_of_this_build() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    agree(&root.join("docs/config.md"), &document());
    let readme = root.join("README.md");
    let Ok(text) = fs::read_to_string(&readme) else { return };
    let (before, rest) = text.split_once(BEGIN).expect("README.md has <!-- config:begin -->");
    let (_, after) = rest.split_once(END).expect("README.md has <!-- config:end -->");
    agree(&readme, &format!("{before}{BEGIN}\n{}{END}{after}", table(&command("serve"))));
}

#[track_caller]
fn agree(path: &PathBuf, generated: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, generated).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} has drifted from the flags; rewrite it with\n  UPDATE=1 cargo test -p beyond-auth --lib reference",
        path.display()
    );
}

fn command(name: &str) -> Command {
    definition().find_subcommand(name).expect("a command").clone()
}

fn document() -> String {
    let mut text = "\
<!-- Generated from the flags of the code; UPDATE=1 cargo test -p beyond-auth --lib reference -->

# Configuration

Every setting is a flag and an environment variable; a flag wins. An empty variable counts as one that is not \
set. `beyond-auth config check` reads everything as `serve` would and says what is wrong, all of it at once.

Secrets can be given by a file instead (`--x-file` / `X_FILE`; newlines at its end do not count), or by MMDS. \
Giving one both ways is an error. None has a default: `beyond-auth keys generate` makes them.

## `beyond-auth serve`

"
    .to_owned();
    text.push_str(&table(&command("serve")));
    text.push_str(
        "
`beyond-auth migrate` takes the settings under *Source of secrets*, *Database* and *Logs and traces*;
`config check` and `doctor` take all of them.

### Details

",
    );
    for arg in settings(&command("serve")) {
        if let Some(details) = details(&arg) {
            writeln!(text, "- `--{}`: {details}", arg.get_long().unwrap()).unwrap();
        }
    }
    text.push_str("\n## `beyond-auth dev`\n\n");
    text.push_str(&table(&command("dev")));
    text.push_str(
        "
## Exit codes

| Code | Meaning |
| --- | --- |
| 0 | Ok |
| 1 | Failure while running, such as a port that is taken or a metadata service that does not answer |
| 2 | Usage or configuration: names the flag, the variable and what to do |
| 3 | Database unreachable |
| 4 | Migration failed, or the schema is newer than this build |

## Secrets from MMDS

With `--mmds-endpoint http://169.254.169.254`, secrets are read at start from the Firecracker metadata service: \
one JSON object at the path of that URL (`/` unless it has one), whose keys are the variables' names:

```json
{
  \"DATABASE_URL\": \"postgres://user:password@host:5432/dbname\",
  \"SIGNING_KEY_ENCRYPTION_KEY\": \"…\",
  \"ADMIN_SECRET\": \"…\"
}
```

Other keys at that place are left alone, so the object may be shared with other programs. A key that is \
present wins; one that is absent, `null` or empty falls back to its flag, variable or file. Version 2 of the \
service (session token) is tried first, then version 1. Redirects are not followed and no proxy is used. When \
the service does not answer after a few attempts, or has nothing at the path, the start fails with exit code 1.

## Replacing secrets

- **Key-encryption key**: start with the new key as `SIGNING_KEY_ENCRYPTION_KEY` and the former one in \
`SIGNING_KEY_ENCRYPTION_KEY_OLD`. New data is sealed with the new key, and what the former one sealed is still \
opened; `POST /v1/admin/kek-rotations` seals it anew. [Operations](operations.md#keys) has the steps for several \
instances.
- **Admin secret**: give both as `ADMIN_SECRET=new,old`, move the callers over, then drop the old one.
",
    );
    text
}

/// Flags with a long name, without clap's own.
fn settings(command: &Command) -> Vec<Arg> {
    let is_ours = |arg: &&Arg| arg.get_long().is_some_and(|name| name != "help" && name != "version");
    command.get_arguments().filter(is_ours).cloned().collect()
}

fn table(command: &Command) -> String {
    let mut text = "| Flag / variable | Default | Description |\n| --- | --- | --- |\n".to_owned();
    let settings = settings(command);
    let is_file_of = |arg: &Arg| {
        let name = arg.get_long().unwrap();
        name.strip_suffix("-file")
            .is_some_and(|secret| settings.iter().any(|arg| arg.get_long() == Some(secret)))
    };
    let mut heading = None;
    for arg in settings.iter().filter(|arg| !is_file_of(arg)) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            writeln!(text, "| **{}** | | |", heading.unwrap_or("Other")).unwrap();
        }
        let variable =
            arg.get_env().map(|name| format!(" / `{}`", name.to_str().unwrap())).unwrap_or_default();
        let default = match arg.get_default_values() {
            [value] if arg.get_action().takes_values() => format!("`{}`", value.to_str().unwrap()),
            _ => "—".to_owned(),
        };
        let help = arg.get_help().expect("a description").to_string().replace('|', "\\|");
        let by_file = if arg.is_hide_env_values_set()
            && settings.iter().any(|other| {
                other.get_long().is_some_and(|name| name.strip_suffix("-file") == arg.get_long())
            }) {
            ". Also `…-file` / `…_FILE`"
        } else {
            ""
        };
        writeln!(text, "| `--{}`{variable} | {default} | {help}{by_file} |", arg.get_long().unwrap())
            .unwrap();
    }
    text
}

/// What the help says beyond its first paragraph.
fn details(arg: &Arg) -> Option<String> {
    let long = arg.get_long_help()?.to_string();
    let (_, details) = long.split_once("\n\n")?;
    Some(details.replace('\n', " "))
}
