-- Keys that sign JWTs.

CREATE TABLE auth.signing_keys (
    id             uuid        PRIMARY KEY,
    -- JWK thumbprint of the public half (RFC 7638).
    kid            text        NOT NULL UNIQUE,
    algorithm      text        NOT NULL CHECK (algorithm = 'EdDSA'),
    -- The public half as published (RFC 8037).
    public_jwk     jsonb       NOT NULL CHECK (jsonb_typeof(public_jwk) = 'object' AND NOT public_jwk ? 'd'),
    -- The private half, sealed under the key-encryption key and bound to this row. NULL once it signs no more.
    sealed_private bytea,
    created_at     timestamptz NOT NULL DEFAULT now(),
    -- Signs from then on; published since it was made.
    activates_at   timestamptz NOT NULL,
    -- Its successor takes over then; NULL for the newest. Published until the last token it signed has expired.
    retires_at     timestamptz CHECK (retires_at >= activates_at),
    -- Taken out of service at once.
    removed_at     timestamptz
);
COMMENT ON TABLE auth.signing_keys IS 'Which key signs JWTs now, which did and which will. Private halves are sealed.';
-- One newest key, however many instances make one at once: the others hand over to it.
CREATE UNIQUE INDEX signing_keys_one_newest_key ON auth.signing_keys ((true)) WHERE retires_at IS NULL AND removed_at IS NULL;
