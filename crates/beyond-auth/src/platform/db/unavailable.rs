//! Which database errors mean "away", and which constraint was hit.

/// Whether the error means that the database cannot answer now, so that the outcome is unknown and the
/// caller should try again later (503), as opposed to a mistake of ours (500).
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Appendix A of the PostgreSQL manual: 08 connection exception, 53 insufficient resources,
            // 57 operator intervention (shutdown, crash, timeout), 58 system error, 40 rollback
            // (deadlock, serialization), 25006 read-only transaction (a standby), 55P03 lock timeout,
            // 3D000 and 28 appear while an operator recreates the database or changes its password.
            ["08", "53", "57", "58", "40", "28"].iter().any(|class| code.starts_with(class))
                || ["25006", "55P03", "3D000", "XX000"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// The named constraint a statement ran into.
pub trait Constraint {
    /// Whether the error is a violation of the constraint (or unique index) of this name.
    fn violates(&self, constraint: &str) -> bool;
}

impl Constraint for sqlx::Error {
    fn violates(&self, constraint: &str) -> bool {
        self.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
    }
}
