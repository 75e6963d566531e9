//! Randomness, from the operating system at each draw.
//!
//! No generator lives in the process: a micro-VM snapshot that is resumed twice carries the process's
//! memory twice, and a generator kept there would hand the same tokens to both copies. The kernel is told
//! about the resume (VMGENID) and reseeds.

/// Draws `N` bytes from the operating system's generator.
///
/// Ends the process when the system has none to give: a service that cannot draw secrets must not go on
/// with weak ones, and an error would only invite a fallback.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut drawn = [0; N];
    if let Err(error) = getrandom::fill(&mut drawn) {
        tracing::error!(%error, "the operating system's random generator failed; ending the process");
        std::process::abort();
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(), bytes::<32>());
    }
}
