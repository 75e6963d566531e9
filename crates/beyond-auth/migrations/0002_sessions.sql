-- Sign-ins that last. One row per device; deleting the row is signing out.

CREATE TABLE auth.sessions (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- SHA-256 of the secret half of the token; the secret itself is never stored.
    secret_hash     bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- Authenticator assurance level reached (NIST SP 800-63B): 1 or 2.
    aal             smallint    NOT NULL CHECK (aal BETWEEN 1 AND 3),
    -- Authentication methods (RFC 8176 values where there is one).
    amr             text[]      NOT NULL,
    label           text        CHECK (char_length(label) <= 100),
    user_agent      text        CHECK (char_length(user_agent) <= 512),
    address         inet,
    -- When a credential was last presented: freshness counts from here.
    verified_at     timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_seen_at    timestamptz NOT NULL DEFAULT now(),
    idle_expires_at timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL
);
COMMENT ON TABLE auth.sessions IS 'Live and recently expired sessions. A revoked one is gone.';
CREATE INDEX sessions_user_idx ON auth.sessions (user_id, id);
CREATE INDEX sessions_expires_idx ON auth.sessions (least(idle_expires_at, expires_at));
