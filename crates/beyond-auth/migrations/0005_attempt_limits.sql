-- Attempt limits. They are kept here and not in the process, so that n instances do not mean n times the
-- limit and a restart does not mean a fresh start. Logged, because a crash must not lift a delay.

CREATE TABLE auth.attempt_limits (
    key_hash bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    hits integer NOT NULL CHECK (hits > 0),
    resets_at timestamptz NOT NULL,
    blocked_until timestamptz
);

COMMENT ON TABLE auth.attempt_limits IS 'How often something was tried; rows past resets_at mean nothing and are purged.';
COMMENT ON COLUMN auth.attempt_limits.key_hash IS 'SHA-256 of the limit''s name and its subject.';
COMMENT ON COLUMN auth.attempt_limits.hits IS 'Attempts counted since counting began.';
COMMENT ON COLUMN auth.attempt_limits.resets_at IS 'When counting begins anew.';
COMMENT ON COLUMN auth.attempt_limits.blocked_until IS 'Growing delay of an account: no attempt before this time.';

CREATE INDEX attempt_limits_resets_at ON auth.attempt_limits (resets_at);
