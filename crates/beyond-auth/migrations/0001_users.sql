-- People and how they prove who they are.

CREATE TABLE auth.users (
    id              uuid        PRIMARY KEY,
    name            text        CHECK (char_length(name) <= 200),
    -- The user's own, editable through PATCH /v1/users/me.
    metadata        jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    -- Somebody signed in before any address of the account was proven. The first proof ends what they planted.
    used_unproven   boolean     NOT NULL DEFAULT false,
    banned_at       timestamptz,
    ban_reason      text,
    -- NULL while banned_at is set: until lifted.
    ban_expires_at  timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.users IS 'One row per person. Applications may join it and hold foreign keys to id.';

CREATE TABLE auth.emails (
    id          uuid        PRIMARY KEY,
    user_id     uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- As the person wrote it, normalised but in their case; mail goes here.
    address     text        NOT NULL,
    -- The canonical form by which two spellings are the same address.
    canonical   text        NOT NULL,
    is_primary  boolean     NOT NULL DEFAULT false,
    -- NULL: a claim that nobody has proven. A claim blocks nobody.
    verified_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.emails IS 'Addresses of users. Only verified ones identify a user; an unverified row is a mere claim.';
CREATE UNIQUE INDEX emails_verified_canonical_key ON auth.emails (canonical) WHERE verified_at IS NOT NULL;
CREATE UNIQUE INDEX emails_user_canonical_key ON auth.emails (user_id, canonical);
CREATE UNIQUE INDEX emails_one_primary_key ON auth.emails (user_id) WHERE is_primary;
CREATE INDEX emails_canonical_idx ON auth.emails (canonical text_pattern_ops, id);

CREATE TABLE auth.passwords (
    user_id     uuid        PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
    -- PHC string format; Argon2id for what this service made.
    hash        text        NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.passwords IS 'At most one password per user.';
