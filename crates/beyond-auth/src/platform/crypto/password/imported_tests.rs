use super::*;

const PASSWORD: &[u8] = b"correct horse";
const SALT: &str = "c2FsdHNhbHRzYWx0c2FsdA";

/// Made by other implementations: libxcrypt (bcrypt), Python's hashlib (scrypt, PBKDF2, SHA), Firebase's own
/// documentation (see below).
fn known() -> Vec<String> {
    vec![
        "$2b$06$abcdefghijklmnopqrstuud/5IuQmqhVO0kfNEbHJM.fJkPiliBzC".to_owned(),
        "$2y$06$abcdefghijklmnopqrstuud/5IuQmqhVO0kfNEbHJM.fJkPiliBzC".to_owned(),
        format!("$scrypt$ln=10,r=8,p=1${SALT}$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI"),
        format!("$pbkdf2-sha256$i=1000,l=32${SALT}$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM"),
        format!(
            "$pbkdf2-sha512$i=1000${SALT}$EHLBej+uEvxlmr0QnHnceg1vM6h1wbwSP5XErh3SmizNDWZsIi28RPGARe0EssjGRoiACzxgHjNvqwJY1zxKig"
        ),
        // As passlib writes them.
        format!("$pbkdf2-sha256$1000${SALT}$BBs.1.PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM"),
        format!("$pbkdf2$1000${SALT}$EUcKisx.yviAqdTmlEPmy.5ykUU"),
        // As Django does.
        "pbkdf2_sha256$1000$saltsaltsaltsalt$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM=".to_owned(),
        "{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0".to_owned(),
        "{SSHA256}n+NyCAC8BTzorAU7AQEsEfh4qDAh0HpRtPLX0dsQdApzYWx0".to_owned(),
        "{SSHA512}MObRFvUHqU5pLIXjc0HkeJH+PKVdEQk34oSyXkDftCxTU6Fk9rWjilWA553MtCFyazGhAOPiDyO1Rv1hndA96XNhbHQ="
            .to_owned(),
    ]
}

/// The example of <https://github.com/firebase/scrypt>: password `user1password`.
const FIREBASE: &str = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,\
    sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
    $42xEC+ixf3L2lw==\
    $lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";

#[test]
fn hashes_of_other_implementations_are_verified() {
    for hash in known() {
        let imported = Imported::parse(&hash).unwrap_or_else(|error| panic!("{hash}: {error}"));
        assert!(imported.matches(PASSWORD), "{hash}");
        assert!(!imported.matches(b"correct horsf"), "{hash}");
        assert!(!imported.matches(b""), "{hash}");
    }
}

#[test]
fn a_hash_of_firebase_is_verified() {
    let imported = Imported::parse(FIREBASE).unwrap();
    assert!(imported.matches(b"user1password"));
    assert!(!imported.matches(b"user2password"));
}

#[test]
fn what_costs_too_much_is_refused() {
    let costly = [
        "$2b$15$abcdefghijklmnopqrstuud/5IuQmqhVO0kfNEbHJM.fJkPiliBzC".to_owned(),
        "$2b$31$abcdefghijklmnopqrstuud/5IuQmqhVO0kfNEbHJM.fJkPiliBzC".to_owned(),
        format!("$scrypt$ln=20,r=8,p=1${SALT}$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI"),
        format!("$scrypt$ln=10,r=8,p=999${SALT}$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI"),
        // A small block, and lanes of two gigabytes beside it.
        format!("$scrypt$ln=1,r=1048576,p=16${SALT}$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI"),
        format!("$scrypt$ln=10,r=4294967295,p=1${SALT}$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI"),
        format!("$pbkdf2-sha256$i=4294967295${SALT}$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM"),
        FIREBASE.replace("n=14", "n=25"),
    ];
    for hash in costly {
        assert_eq!(Imported::parse(&hash).unwrap_err(), Unusable::TooCostly, "{hash}");
    }
}

#[test]
fn what_is_no_hash_is_refused_with_a_reason() {
    let cases = [
        ("", Unusable::Unknown),
        ("correct horse", Unusable::Unknown),
        ("$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", Unusable::Unknown),
        ("5f4dcc3b5aa765d61d8327deb882cf99", Unusable::Unknown),
        ("{MD5}X03MO1qnZdYdgyfeuILPmQ==", Unusable::Unknown),
        ("{SSHA}", Unusable::Malformed),
        ("{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6Qvg==", Unusable::Malformed),
        ("$2b$06$short", Unusable::Malformed),
        ("$2x$06$abcdefghijklmnopqrstuud/5IuQmqhVO0kfNEbHJM.fJkPiliBzC", Unusable::Unknown),
        ("$scrypt$ln=10,r=8,p=1$c2FsdA", Unusable::Malformed),
        ("$scrypt$ln=0,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$A9lBa6RTbfBovWqamVIqXA", Unusable::Malformed),
        ("$pbkdf2-md5$i=1000$c2FsdHNhbHRzYWx0c2FsdA$A9lBa6RTbfBovWqamVIqXA", Unusable::Unknown),
        ("$pbkdf2-sha256$i=0$c2FsdHNhbHRzYWx0c2FsdA$A9lBa6RTbfBovWqamVIqXA", Unusable::Malformed),
        ("$pbkdf2-sha256$i=1000$c2FsdHNhbHRzYWx0c2FsdA$A9lBa6RTbfA", Unusable::Malformed),
        ("$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk=AAAA$AAAA$AAAA", Unusable::Malformed),
        ("$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=$AAAA$", Unusable::Malformed),
    ];
    for (hash, reason) in cases {
        assert_eq!(Imported::parse(hash).unwrap_err(), reason, "{hash}");
    }
    let endless = format!("{{SSHA}}{}", "A".repeat(10_000));
    assert_eq!(Imported::parse(&endless).unwrap_err(), Unusable::Malformed);
}

#[test]
fn any_mutilation_of_a_hash_is_refused_or_matches_nothing() {
    for hash in known().into_iter().chain([FIREBASE.to_owned()]) {
        for end in 0..hash.len() {
            if let Ok(imported) = Imported::parse(&hash[..end]) {
                assert!(!imported.matches(b"anything else"), "{}", &hash[..end]);
            }
        }
    }
}
