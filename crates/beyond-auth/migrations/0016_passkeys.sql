-- Passkeys: public keys whose private halves stay in authenticators (W3C Web Authentication).

CREATE TABLE auth.passkeys (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- The authenticator's own name for the key; whoever presents it is found by it.
    credential_id   bytea       NOT NULL CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
    -- COSE_Key (RFC 9052), as the authenticator wrote it.
    public_key      bytea       NOT NULL CHECK (octet_length(public_key) <= 2048),
    -- COSE number: EdDSA, ES256, RS256.
    algorithm       integer     NOT NULL CHECK (algorithm IN (-8, -7, -257)),
    -- Last seen signature counter; 0 from authenticators that keep none.
    sign_count      bigint      NOT NULL DEFAULT 0 CHECK (sign_count BETWEEN 0 AND 4294967295),
    -- Whether the key may leave its device, fixed at registration; and whether it is backed up now.
    backup_eligible boolean     NOT NULL,
    backed_up       boolean     NOT NULL,
    -- Whether the authenticator has proven once, together with something else, that it knows its user (PIN,
    -- fingerprint). Until then it is a second factor only.
    user_verified   boolean     NOT NULL,
    -- As the browser told: found without being named first. NULL where it did not tell.
    discoverable    boolean,
    -- Hints for browsers on how to reach the authenticator.
    transports      text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(transports) <= 8),
    -- Make of the authenticator; NULL where it does not tell.
    aaguid          uuid,
    -- The owner's own name for it.
    name            text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_used_at    timestamptz,
    CHECK (backup_eligible OR NOT backed_up),
    CONSTRAINT passkeys_credential_id_key UNIQUE (credential_id)
);
COMMENT ON TABLE auth.passkeys IS 'Passkeys of users: public keys, nothing secret.';
CREATE INDEX passkeys_user_idx ON auth.passkeys (user_id, id);
