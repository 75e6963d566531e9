//! Committed files that the code or the database can also say.

use std::path::Path;

use crate::documents::root;

/// Holds a committed file, named from the repository's root, to what is generated now. With `UPDATE=1` in the
/// environment the file is rewritten first.
///
/// # Panics
/// When they differ; says where, and how to rewrite the file.
#[track_caller]
pub fn agree(file: &str, generated: &str) {
    let path = root().join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed == generated {
        return;
    }
    let same = committed.lines().zip(generated.lines()).take_while(|(old, new)| old == new).count();
    panic!(
        "{file} has drifted at line {}:\n  committed  {}\n  generated  {}\nRewrite it with\n  \
         UPDATE=1 cargo test -p beyond-auth --test it drift",
        same + 1,
        committed.lines().nth(same).unwrap_or("(its end)"),
        generated.lines().nth(same).unwrap_or("(its end)"),
    );
}
