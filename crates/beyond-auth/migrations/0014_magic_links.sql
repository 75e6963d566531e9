-- Signing in by mail: one row for each time somebody asked for a link and a code.

CREATE TABLE auth.magic_links (
    -- Also the id part of the link's token and of the request's.
    id            uuid        PRIMARY KEY,
    -- NULL where the address is nobody's: such a row only makes the answer to a stranger the same.
    email_id      uuid        REFERENCES auth.emails (id) ON DELETE CASCADE,
    -- SHA-256 of the secret of whoever asked: a code opens nothing elsewhere.
    request_hash  bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
    -- Where to go afterwards; an exact origin of the settings, as parsed.
    redirect_to   text        CHECK (octet_length(redirect_to) <= 512),
    -- SHA-256 of the secret half of the link's token. NULL until the mail is sent: it is minted then.
    secret_hash   bytea       CHECK (octet_length(secret_hash) = 32),
    -- HMAC-SHA256 of the six digits under a key derived from the key-encryption key.
    code_mac      bytea       CHECK (octet_length(code_mac) = 32),
    -- Wrong codes tried so far.
    attempts      smallint    NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Of the mail while it waits, then of the link.
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);
COMMENT ON TABLE auth.magic_links IS 'Sign-ins by mail that were asked for. A newer one supersedes the older of the same address.';
CREATE INDEX magic_links_email_idx ON auth.magic_links (email_id) WHERE email_id IS NOT NULL;
CREATE INDEX magic_links_expires_idx ON auth.magic_links (expires_at);
