-- What providers have handed out for the people who sign in with them: to be used on their behalf, or to be given back.

CREATE TABLE auth.oauth_tokens (
    id                uuid        PRIMARY KEY,
    -- NULL once the identity is gone, however it went: what is left is revoked at the provider, and then deleted.
    identity_id       uuid        REFERENCES auth.identities (id) ON DELETE SET NULL,
    provider_id       text        NOT NULL REFERENCES auth.oauth_providers (id) ON DELETE CASCADE,
    -- Access and refresh token as JSON, sealed under the key-encryption key and bound to this row.
    sealed_tokens     bytea       NOT NULL,
    -- NULL: the provider did not say.
    access_expires_at timestamptz,
    -- What the access token may do, in the provider's words.
    scope             text        CHECK (octet_length(scope) <= 2048),
    -- Somebody asks the provider for a new access token until then: one at a time, since refresh tokens may rotate.
    refreshing_until  timestamptz,
    -- When next to try to revoke, and how often that has been tried.
    revoke_at         timestamptz NOT NULL DEFAULT now(),
    revoke_tries      smallint    NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.oauth_tokens IS 'Tokens of providers, sealed: kept for use, or waiting to be revoked.';
CREATE UNIQUE INDEX oauth_tokens_identity_key ON auth.oauth_tokens (identity_id);
CREATE INDEX oauth_tokens_provider_idx ON auth.oauth_tokens (provider_id);
CREATE INDEX oauth_tokens_orphans_idx ON auth.oauth_tokens (revoke_at) WHERE identity_id IS NULL;

-- SHA-256 of the secret with which the linking session set out: one that has been replaced since links nothing any more.
ALTER TABLE auth.oauth_flows ADD COLUMN session_hash bytea CHECK (octet_length(session_hash) = 32);
