//! Argon2 (RFC 9106) over memory that one thread owns and reuses.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::imported::{Imported, Unusable};
use crate::platform::crypto::random;

/// Costlier stored hashes are not computed: whoever can write one row could otherwise stop every sign-in.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;

const TOO_COSTLY: &str = "costs more than is ever spent";

const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 32;

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The three numbers of a cost do not fit together or are above what is ever verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash takes 8 KiB of memory a lane to 256 MiB, 1 to 16 passes and 1 to 16 lanes")]
pub struct InvalidCost;

impl Cost {
    /// Worth nothing, done at once: for tests only.
    pub const TRIVIAL: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// `memory_kib` KiB (at least 8 a lane, at most 256 MiB), 1 to 16 passes, 1 to 16 lanes. Lanes are computed
    /// one after the other.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, InvalidCost> {
        let sound = (1..=MOST_LANES).contains(&lanes)
            && (1..=MOST_PASSES).contains(&passes)
            && (8 * lanes..=MOST_MEMORY_KIB).contains(&memory_kib);
        if sound { Ok(Self { memory_kib, passes, lanes }) } else { Err(InvalidCost) }
    }

    fn params(self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(TAG_BYTES))
    }
}

impl Default for Cost {
    /// 19 MiB, two passes, one lane (OWASP Password Storage Cheat Sheet, first choice for Argon2id).
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

/// The answer to "is this the password?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Match {
        /// The stored hash is weaker than what is configured now; hash the password again and store that.
        needs_rehash: bool,
    },
    /// It is not, or there is nothing to compare it with.
    Mismatch,
}

/// A stored hash, read and found affordable.
struct Stored {
    argon: Argon2<'static>,
    salt: Salt,
    tag: Output,
    needs_rehash: bool,
}

/// One thread's share: the cost of new hashes and the memory that hashing fills.
pub(super) struct Worker {
    cost: Cost,
    memory: Vec<Block>,
}

impl Worker {
    pub(super) fn new(cost: Cost) -> Self {
        Self { cost, memory: Vec::new() }
    }

    /// Hashes under a fresh salt; the result is a PHC string.
    pub(super) fn hash(&mut self, password: &[u8]) -> Result<String, argon2::Error> {
        let params = self.cost.params()?;
        let salt = random::bytes::<SALT_BYTES>();
        let mut tag = [0; TAG_BYTES];
        self.compute(
            &Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()),
            password,
            &salt,
            &mut tag,
        )?;
        let hash = PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).map_err(|_| argon2::Error::AlgorithmInvalid)?,
            salt: Some(Salt::new(&salt).map_err(|_| argon2::Error::SaltTooShort)?),
            hash: Some(Output::new(&tag).map_err(|_| argon2::Error::OutputTooLong)?),
        };
        Ok(hash.to_string())
    }

    /// Compares with a stored hash. Whatever is missing or wrong with it, at least the same work is done.
    pub(super) fn verify(&mut self, password: &[u8], stored: Option<&str>) -> Result<Verdict, argon2::Error> {
        let stored = match stored {
            Some(hash) if !is_argon(hash) => {
                if Imported::parse(hash).is_ok_and(|imported| imported.matches(password)) {
                    return Ok(Verdict::Match { needs_rehash: true });
                }
                None
            }
            stored => stored,
        };
        let stored = stored.and_then(|phc| match self.read(phc) {
            Ok(stored) => Some(stored),
            Err(reason) => {
                tracing::error!(reason, "a stored password hash cannot be verified; it counts as a mismatch");
                None
            }
        });
        let Some(stored) = stored else {
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.cost.params()?);
            let mut tag = [0; TAG_BYTES];
            self.compute(&argon, password, &[0; SALT_BYTES], &mut tag)?;
            return Ok(Verdict::Mismatch);
        };
        let mut tag = Zeroizing::new(vec![0; stored.tag.len()]);
        self.compute(&stored.argon, password, &stored.salt, &mut tag)?;
        if bool::from(tag.as_slice().ct_eq(stored.tag.as_ref())) {
            Ok(Verdict::Match { needs_rehash: stored.needs_rehash })
        } else {
            Ok(Verdict::Mismatch)
        }
    }

    /// Reads a PHC string; the error says what is wrong with it without repeating any of it.
    fn read(&self, phc: &str) -> Result<Stored, &'static str> {
        let hash = PasswordHash::new(phc).map_err(|_| "not a PHC string")?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| "unknown algorithm")?;
        let version = match hash.version {
            // The reference implementation reads a hash without a version as 1.0.
            None => Version::V0x10,
            Some(version) => Version::try_from(version).map_err(|_| "unknown version")?,
        };
        let params = Params::try_from(&hash).map_err(|_| "unreadable parameters")?;
        let (Some(salt), Some(tag)) = (hash.salt, hash.hash) else { return Err("salt or tag missing") };
        if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES
        {
            return Err(TOO_COSTLY);
        }
        let needs_rehash = algorithm != Algorithm::Argon2id
            || version != Version::V0x13
            || params.m_cost() < self.cost.memory_kib
            || params.t_cost() < self.cost.passes
            || salt.len() < SALT_BYTES
            || tag.len() < TAG_BYTES;
        Ok(Stored { argon: Argon2::new(algorithm, version, params), salt, tag, needs_rehash })
    }

    fn compute(
        &mut self,
        argon: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        tag: &mut [u8],
    ) -> Result<(), argon2::Error> {
        let usual = usize::try_from(self.cost.memory_kib).unwrap_or(usize::MAX);
        let needed = argon.params().block_count();
        if self.memory.len() < needed {
            self.memory.resize(needed, Block::new());
        }
        let outcome = argon.hash_password_into_with_memory(password, salt, tag, &mut self.memory[..needed]);
        self.memory[..needed].iter_mut().for_each(zeroize::Zeroize::zeroize);
        if needed > usual {
            // A costlier hash than we make ourselves came by once; its memory is not kept.
            self.memory.truncate(usual);
            self.memory.shrink_to_fit();
        }
        outcome
    }
}

fn is_argon(hash: &str) -> bool {
    hash.starts_with("$argon2")
}

/// Checks a hash that was made elsewhere before it is stored: known, well formed, affordable.
///
/// # Errors
/// What is wrong with it, without any of it.
pub fn check_imported(hash: &str) -> Result<(), Unusable> {
    if !is_argon(hash) {
        return Imported::parse(hash).map(drop);
    }
    match Worker::new(Cost::default()).read(hash) {
        Ok(_) => Ok(()),
        Err(TOO_COSTLY) => Err(Unusable::TooCostly),
        Err(_) => Err(Unusable::Malformed),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.memory.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(memory_kib: u32, passes: u32) -> Cost {
        Cost::new(memory_kib, passes, 1).unwrap()
    }

    fn verdict(worker: &mut Worker, password: &[u8], phc: &str) -> Verdict {
        worker.verify(password, Some(phc)).unwrap()
    }

    #[test]
    fn a_password_matches_its_hash_and_no_other_does() {
        let mut worker = Worker::new(cost(64, 2));
        let phc = worker.hash(b"secret").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{phc}");
        assert_eq!(verdict(&mut worker, b"secret", &phc), Verdict::Match { needs_rehash: false });
        assert_eq!(verdict(&mut worker, b"Secret", &phc), Verdict::Mismatch);
        assert_eq!(verdict(&mut worker, b"", &phc), Verdict::Mismatch);
        assert_ne!(worker.hash(b"secret").unwrap(), phc);
    }

    #[test]
    fn the_default_cost_is_the_documented_one() {
        let mut worker = Worker::new(Cost::default());
        let phc = worker.hash(b"secret").unwrap();
        let parsed = PasswordHash::new(&phc).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(parsed.salt.unwrap().len(), 16);
        assert_eq!(parsed.hash.unwrap().len(), 32);
    }

    #[test]
    fn a_hash_made_elsewhere_verifies() {
        // Test vector of the reference implementation (phc-winner-argon2, test.c): m=256 KiB, t=2, p=1.
        let phc = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let mut worker = Worker::new(cost(64, 1));
        assert_eq!(verdict(&mut worker, b"password", phc), Verdict::Match { needs_rehash: true });
        assert_eq!(verdict(&mut worker, b"Password", phc), Verdict::Mismatch);
    }

    #[test]
    fn a_weaker_hash_asks_to_be_made_again_and_a_stronger_one_does_not() {
        let weak = Worker::new(cost(64, 2)).hash(b"secret").unwrap();
        let cases = [(cost(64, 2), false), (cost(65, 2), true), (cost(64, 3), true), (cost(8, 1), false)];
        for (now, needs_rehash) in cases {
            assert_eq!(verdict(&mut Worker::new(now), b"secret", &weak), Verdict::Match { needs_rehash });
        }
    }

    #[test]
    fn what_cannot_be_verified_is_a_mismatch() {
        let mut worker = Worker::new(cost(8, 1));
        let good = worker.hash(b"secret").unwrap();
        let tail = good.split_once("p=1").unwrap().1;
        for phc in [
            "",
            "secret",
            "$2b$12$abcdefghijklmnopqrstuuQZ0WcXgyxPjYcMNAjYzGBSJjYcMNAjY",
            "$scrypt$ln=1,r=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
            "$argon2id$v=19$m=8,t=1,p=1",
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ",
            &format!("$argon2id$v=19$m=262145,t=1,p=1{tail}"),
            &format!("$argon2id$v=19$m=8,t=17,p=1{tail}"),
            &format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1{tail}"),
            &format!("$argon2id$v=19$m=136,t=1,p=17{tail}"),
            &format!("$argon2id$v=18$m=8,t=1,p=1{tail}"),
            &format!("$argon2id$v=19$m=7,t=1,p=1{tail}"),
        ] {
            assert_eq!(verdict(&mut worker, b"secret", phc), Verdict::Mismatch, "{phc}");
        }
        assert_eq!(worker.verify(b"secret", None), Ok(Verdict::Mismatch));
        assert_eq!(verdict(&mut worker, b"secret", &good), Verdict::Match { needs_rehash: false });
    }

    #[test]
    fn memory_is_wiped_and_a_large_share_is_given_back() {
        let large = Worker::new(cost(1024, 1)).hash(b"secret").unwrap();
        let mut worker = Worker::new(cost(8, 1));
        verdict(&mut worker, b"secret", &large);
        assert_eq!(worker.memory.len(), 8);
        assert!(worker.memory.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }

    #[test]
    fn an_unsound_cost_is_refused() {
        for (memory_kib, passes, lanes) in
            [(7, 1, 1), (8, 1, 2), (8, 0, 1), (8, 17, 1), (1 << 19, 1, 1), (8, 1, 0)]
        {
            assert_eq!(Cost::new(memory_kib, passes, lanes), Err(InvalidCost));
        }
        assert_eq!(Cost::new(8, 1, 1), Ok(Cost::TRIVIAL));
    }
}
