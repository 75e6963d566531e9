-- Setting a new password by mail: one row for each time somebody asked.

CREATE TABLE auth.password_resets (
    -- Also the id part of the link's token.
    id            uuid        PRIMARY KEY,
    -- NULL where the address is nobody's: such a row only makes the answer to a stranger the same.
    email_id      uuid        REFERENCES auth.emails (id) ON DELETE CASCADE,
    -- SHA-256 of the secret half of the link's token. NULL until the mail is sent: it is minted then.
    secret_hash   bytea       CHECK (octet_length(secret_hash) = 32),
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Of the mail while it waits, then of the link.
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);
COMMENT ON TABLE auth.password_resets IS 'Resets of passwords that were asked for. A newer one supersedes the older of the same address.';
CREATE INDEX password_resets_email_idx ON auth.password_resets (email_id) WHERE email_id IS NOT NULL;
CREATE INDEX password_resets_expires_idx ON auth.password_resets (expires_at);
