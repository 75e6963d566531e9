-- Proof that a person reads mail at an address: one row per mail sent.

CREATE TABLE auth.email_verifications (
    id          uuid        PRIMARY KEY,
    email_id    uuid        NOT NULL REFERENCES auth.emails (id) ON DELETE CASCADE,
    -- SHA-256 of the secret half of the link's token.
    secret_hash bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- HMAC-SHA256 of the six digits under a key derived from the key-encryption key: a plain hash of six
    -- digits can be searched from a dump.
    code_mac    bytea       NOT NULL CHECK (octet_length(code_mac) = 32),
    -- Wrong codes tried so far.
    attempts    smallint    NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
COMMENT ON TABLE auth.email_verifications IS 'Pending and spent verification mails. A newer one supersedes the older of the same address row.';
CREATE INDEX email_verifications_email_idx ON auth.email_verifications (email_id);
CREATE INDEX email_verifications_expires_idx ON auth.email_verifications (expires_at);
