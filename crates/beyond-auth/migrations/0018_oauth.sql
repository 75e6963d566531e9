-- Signing in with an account elsewhere: the providers, the sign-ins under way, and who somebody is there.

CREATE TABLE auth.oauth_providers (
    -- A word for paths: 'github', 'corp-sso'.
    id             text        PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    kind           text        NOT NULL CHECK (kind IN ('github', 'google', 'apple', 'microsoft', 'oidc')),
    -- What to write on the button.
    name           text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 60),
    enabled        boolean     NOT NULL DEFAULT true,
    client_id      text        NOT NULL CHECK (octet_length(client_id) BETWEEN 1 AND 512),
    -- The client secret (Apple: the team's private key), sealed under the key-encryption key and bound to this row.
    -- NULL for a public client.
    sealed_secret  bytea,
    -- Everything else that the operator has said: issuer, endpoints, scopes, policies. Never a secret.
    definition     jsonb       NOT NULL CHECK (jsonb_typeof(definition) = 'object'),
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.oauth_providers IS 'Identity providers that people may sign in with.';

CREATE TABLE auth.oauth_documents (
    provider_id    text        NOT NULL REFERENCES auth.oauth_providers (id) ON DELETE CASCADE,
    url            text        NOT NULL,
    -- What was last read there. NULL until it has been read once.
    body           bytea,
    fetched_at     timestamptz,
    -- When somebody last set out to read it: one at a time, and not again at once.
    asked_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider_id, url),
    CHECK ((body IS NULL) = (fetched_at IS NULL))
);
COMMENT ON TABLE auth.oauth_documents IS 'What providers publish about themselves (discovery, keys), as last read.';

CREATE TABLE auth.oauth_flows (
    -- Also the id part of the state and of the browser's secret.
    id             uuid        PRIMARY KEY,
    provider_id    text        NOT NULL REFERENCES auth.oauth_providers (id) ON DELETE CASCADE,
    purpose        text        NOT NULL CHECK (purpose IN ('sign_in', 'link')),
    -- Who links, and with which session; NULL for a sign-in, where nobody is known yet.
    user_id        uuid        REFERENCES auth.users (id) ON DELETE CASCADE,
    session_id     uuid,
    -- SHA-256 of the secret in `state`, which the provider sees.
    state_hash     bytea       NOT NULL CHECK (octet_length(state_hash) = 32),
    -- SHA-256 of the secret in the browser's cookie. PKCE verifier and nonce follow from that secret: nothing here can
    -- be replayed.
    browser_hash   bytea       NOT NULL CHECK (octet_length(browser_hash) = 32),
    -- Where to go afterwards, as parsed.
    redirect_to    text        NOT NULL CHECK (octet_length(redirect_to) <= 2048),
    -- The application's PKCE challenge (S256), decoded. NULL where no code is handed out.
    challenge      bytea       CHECK (octet_length(challenge) = 32),
    -- Handed back to the application as it came.
    echo           text        CHECK (octet_length(echo) <= 512),
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    CHECK ((purpose = 'sign_in') = (challenge IS NOT NULL)),
    CHECK ((purpose = 'link') = (user_id IS NOT NULL AND session_id IS NOT NULL))
);
COMMENT ON TABLE auth.oauth_flows IS 'People who are at a provider just now. A row is deleted by its use, whatever comes of it.';
CREATE INDEX oauth_flows_provider_idx ON auth.oauth_flows (provider_id);
CREATE INDEX oauth_flows_expires_idx ON auth.oauth_flows (expires_at);
CREATE INDEX oauth_flows_user_idx ON auth.oauth_flows (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE auth.identities (
    id             uuid        PRIMARY KEY,
    user_id        uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    provider_id    text        NOT NULL REFERENCES auth.oauth_providers (id) ON DELETE CASCADE,
    -- Who somebody is there; an address never is.
    issuer         text        NOT NULL,
    subject        text        NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 255),
    -- As the provider last said it; decides nothing.
    email          text,
    email_verified boolean     NOT NULL DEFAULT false,
    name           text,
    picture        text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_used_at   timestamptz
);
COMMENT ON TABLE auth.identities IS 'Accounts elsewhere that people sign in with, by provider, issuer and subject.';
CREATE UNIQUE INDEX identities_subject_key ON auth.identities (provider_id, issuer, subject);
CREATE INDEX identities_user_idx ON auth.identities (user_id, id);

CREATE TABLE auth.oauth_codes (
    -- Also the id part of the code.
    id             uuid        PRIMARY KEY,
    -- Gone with the identity, and so with its user and its provider.
    identity_id    uuid        NOT NULL REFERENCES auth.identities (id) ON DELETE CASCADE,
    -- SHA-256 of the secret half of the code.
    code_hash      bytea       NOT NULL CHECK (octet_length(code_hash) = 32),
    -- The application's PKCE challenge (S256), decoded.
    challenge      bytea       NOT NULL CHECK (octet_length(challenge) = 32),
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    used_at        timestamptz
);
COMMENT ON TABLE auth.oauth_codes IS 'One-time codes that applications take home from a provider and exchange for a session.';
CREATE INDEX oauth_codes_identity_idx ON auth.oauth_codes (identity_id);
CREATE INDEX oauth_codes_expires_idx ON auth.oauth_codes (expires_at);

CREATE TABLE auth.oauth_used_tokens (
    -- SHA-256 of an id_token that has opened the door directly.
    token_hash     bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    -- The token's own end, and a little: until then it is remembered.
    expires_at     timestamptz NOT NULL
);
COMMENT ON TABLE auth.oauth_used_tokens IS 'Identity tokens that were used and have not expired.';
CREATE INDEX oauth_used_tokens_expires_idx ON auth.oauth_used_tokens (expires_at);
