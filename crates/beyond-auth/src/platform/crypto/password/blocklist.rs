//! Passwords that are guessed first: offline, from the frequency lists inside `zxcvbn`.
//!
//! A plain list would miss what people do to get around a list (`Passw0rd!`, `qwerty123`). `zxcvbn` estimates
//! how many guesses an attacker who knows the lists and the tricks would need; what falls below a million is
//! refused (NIST SP 800-63B-4 section 3.1.1.2 asks for a blocklist, not for composition rules). Its lists are
//! mostly English.

use std::borrow::Cow;

/// Guessed within this many tries, a password counts as common.
const COMMON_BELOW: u64 = 1_000_000;

/// `zxcvbn` takes time in the square of the length, so it sees this many characters at most. A password whose
/// first 48 characters alone are that easy is refused even if something better follows.
const SEEN: usize = 48;

/// Above this length, or with more than [`FEW_SIGNS`] kinds of them, signs that stand for letters are replaced
/// up front.
const SHORT: usize = 24;
const FEW_SIGNS: usize = 2;

/// Signs that `zxcvbn` takes for letters. It tries every combination of what they could stand for: with all of
/// them present, 100 characters took it more than a second, which an attacker could ask for at will.
const SIGNS: [(char, char); 10] = [
    ('@', 'a'),
    ('(', 'c'),
    ('{', 'c'),
    ('[', 'c'),
    ('<', 'c'),
    ('!', 'i'),
    ('|', 'l'),
    ('$', 's'),
    ('+', 't'),
    ('%', 'x'),
];

/// Whether a password is among those an attacker tries first.
pub(super) fn is_common(password: &str) -> bool {
    let seen: String = password.chars().take(SEEN).collect();
    zxcvbn::zxcvbn(&tame(&seen), &[]).guesses() < COMMON_BELOW
}

/// Bounds the number of combinations, see [`SIGNS`].
fn tame(seen: &str) -> Cow<'_, str> {
    let kinds = SIGNS.iter().filter(|(sign, _)| seen.contains(*sign)).count();
    if kinds <= FEW_SIGNS && (kinds == 0 || seen.chars().count() <= SHORT) {
        return Cow::Borrowed(seen);
    }
    let letter = |c| SIGNS.iter().find(|(sign, _)| *sign == c).map_or(c, |(_, letter)| *letter);
    Cow::Owned(seen.chars().map(letter).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn common_passwords_and_their_variations_are_refused() {
        for password in [
            "password",
            "PASSWORD",
            "password1!",
            "Passw0rd!",
            "P@$$w0rd",
            "P@$$w0rd!+",
            "12345678",
            "1234567890",
            "11111111",
            "abcdefgh",
            "qwertyuiop",
            "qwerty123",
            "Qwerty12345!",
            "zxcvbnm,./",
            "iloveyou",
            "letmein!!",
            "trustno1!",
            "monkey123",
            "welcome1",
            "hunter2hunter2",
        ] {
            assert!(is_common(password), "{password}");
        }
        assert!(is_common(&"a".repeat(256)));
    }

    #[test]
    fn phrases_and_random_passwords_are_accepted() {
        for password in [
            "correct horse battery staple",
            "a long enough secret",
            "blue-tree-42",
            "k3jXq9Zp",
            "vX7!mQ2#",
            "6f1e9c0b7a",
            "наш кот спит днём",
            "今日は良い天気です",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), leet in "[4@8({\\[<369&#!1|0$5+7%2a-z]{0,40}") {
            let _ = is_common(&text);
            let _ = is_common(&leet);
        }
    }

    #[test]
    fn the_time_is_bounded_for_the_worst_inputs() {
        // A hundred times what it takes (2 to 5 ms), for busy machines; the combinations took seconds in this build.
        let limit = Duration::from_millis(500);
        is_common("warm up");
        for pattern in [
            "4@8({[<369&#!1|0$5+7%2",
            "p4ssw0rd!1|$5+7@3(",
            "@4!1$5+7({[<",
            "a4@i1!s5$",
            "a",
            "ab1",
            "1112131415",
            "kJ8x!qP0zR$wLm2vNb7TyUc4GhD6sFa9",
        ] {
            for len in [SHORT, SEEN, 256] {
                let password: String = pattern.chars().cycle().take(len).collect();
                // The best of five: the machine may be busy with other tests.
                let took = (0..5).map(|_| time(&password)).min().unwrap();
                assert!(took < limit, "{pattern} {len}: {took:?}");
            }
        }
    }

    fn time(password: &str) -> Duration {
        let begun = Instant::now();
        is_common(password);
        begun.elapsed()
    }
}
