-- One-time codes from an authenticator app (RFC 6238), and the recovery codes for when it is lost.

CREATE TABLE auth.totp_factors (
    id           uuid        PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- The half-finished sign-in that enrolled it and alone may activate it; NULL once active, or where a session did.
    attempt_id   uuid        REFERENCES auth.sign_in_attempts (id) ON DELETE CASCADE,
    -- The owner's own name for the device.
    name         text        CHECK (char_length(name) <= 100),
    -- 160 bits shared with the device, sealed under the key-encryption key and bound to this row.
    sealed_seed  bytea       NOT NULL,
    -- The newest step (30 seconds each since 1970) whose code was accepted; neither it nor an older one is again.
    last_step    bigint      NOT NULL DEFAULT 0,
    -- NULL until a code has proven that the device has the seed. Until then it is no factor.
    activated_at timestamptz,
    last_used_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (activated_at IS NULL OR attempt_id IS NULL)
);
COMMENT ON TABLE auth.totp_factors IS 'Authenticator apps of users. Seeds are sealed.';
CREATE INDEX totp_factors_user_idx ON auth.totp_factors (user_id, id);
CREATE INDEX totp_factors_attempt_idx ON auth.totp_factors (attempt_id) WHERE attempt_id IS NOT NULL;
CREATE INDEX totp_factors_pending_idx ON auth.totp_factors (created_at) WHERE activated_at IS NULL;

CREATE TABLE auth.totp_recovery_codes (
    user_id    uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- SHA-256 of the owner's id and the code: 80 random bits, so a plain hash is enough.
    code_hash  bytea       NOT NULL CHECK (octet_length(code_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    PRIMARY KEY (user_id, code_hash)
);
COMMENT ON TABLE auth.totp_recovery_codes IS 'One set per user, each code good for one sign-in without the device. Used ones stay until the next set.';
