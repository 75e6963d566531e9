-- Sign-ins whose first factor is proven and that wait for the second.

CREATE TABLE auth.sign_in_attempts (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- SHA-256 of the secret half of the attempt's token.
    secret_hash   bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- How the first factor was proven (RFC 8176 where it has a word).
    first_amr     text        NOT NULL,
    -- Whether a refresh token was wished for beside the session.
    refresh_token boolean     NOT NULL DEFAULT false,
    -- Second factors tried so far, counted before each is looked at.
    tries         smallint    NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    -- When the second factor was proven.
    used_at       timestamptz
);
COMMENT ON TABLE auth.sign_in_attempts IS 'Half-finished sign-ins. They open nothing but the way to the second factor.';
CREATE INDEX sign_in_attempts_user_idx ON auth.sign_in_attempts (user_id);
CREATE INDEX sign_in_attempts_expires_idx ON auth.sign_in_attempts (expires_at);
