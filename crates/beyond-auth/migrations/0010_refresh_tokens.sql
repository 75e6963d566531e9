-- Long-lived credentials that renew sessions. A family is one device; each use retires its token and makes the
-- next, so that a stolen token is noticed when both its holders use it.

CREATE TABLE auth.refresh_families (
    id                   uuid        PRIMARY KEY,
    user_id              uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- Made through this session, or one of this family: signing that out takes this family along. NULL where
    -- the family came with a sign-in of its own. No foreign keys: the session may have expired long ago.
    minted_by_session_id uuid,
    minted_by_family_id  uuid,
    -- What the sign-in had proven, and when; renewing proves nothing anew. Kept up with step-ups.
    aal                  smallint    NOT NULL CHECK (aal BETWEEN 1 AND 3),
    amr                  text[]      NOT NULL,
    verified_at          timestamptz NOT NULL,
    -- The owner's own name for what holds the token.
    label                text        CHECK (char_length(label) <= 100),
    user_agent           text        CHECK (char_length(user_agent) <= 512),
    address              inet,
    created_at           timestamptz NOT NULL DEFAULT now(),
    last_used_at         timestamptz,
    -- Ends then in any case, and every session of the family with it.
    expires_at           timestamptz NOT NULL,
    -- Soft delete: set once, never cleared.
    revoked_at           timestamptz,
    revoked_because      text        CHECK (revoked_because IN ('revoked', 'reused'))
);
COMMENT ON TABLE auth.refresh_families IS 'Refresh tokens that descend from one another. A revoked family stays on record for a while.';
CREATE INDEX refresh_families_user_idx ON auth.refresh_families (user_id, id);
CREATE INDEX refresh_families_ended_idx ON auth.refresh_families (least(revoked_at, expires_at));

CREATE TABLE auth.refresh_tokens (
    id              uuid        PRIMARY KEY,
    family_id       uuid        NOT NULL REFERENCES auth.refresh_families (id) ON DELETE CASCADE,
    -- SHA-256 of the secret half of the token. A successor's secret is derived from its predecessor's by a key
    -- that is not in the database, so that a retry gets the same one although it is stored nowhere.
    secret_hash     bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- The token that was presented for this one; NULL for the first of a family.
    predecessor_id  uuid        UNIQUE,
    -- The session that was handed out with it.
    session_id      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    idle_expires_at timestamptz NOT NULL,
    -- When it was exchanged for its successor.
    retired_at      timestamptz
);
COMMENT ON TABLE auth.refresh_tokens IS 'Every token of a family, spent ones too: a spent one that comes back tells of a theft.';
-- One live branch, whatever happens at once.
CREATE UNIQUE INDEX refresh_tokens_one_live_key ON auth.refresh_tokens (family_id) WHERE retired_at IS NULL;
CREATE INDEX refresh_tokens_family_idx ON auth.refresh_tokens (family_id);

-- Which family renews the session; NULL for one that is not renewed.
ALTER TABLE auth.sessions ADD COLUMN refresh_family_id uuid;
CREATE INDEX sessions_refresh_family_idx ON auth.sessions (refresh_family_id) WHERE refresh_family_id IS NOT NULL;

-- A renewed session ends by itself soon after, but JWTs that name it may live on for up to an hour. When its family
-- is signed out meanwhile, verifiers at the edge must hear of that session too.
CREATE OR REPLACE FUNCTION auth.note_revoked_session() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF least(old.expires_at, old.idle_expires_at)
        > now() - (CASE WHEN old.refresh_family_id IS NULL THEN interval '0' ELSE interval '2 hours' END)
    THEN
        INSERT INTO auth.revocations (kind, subject_id, user_id) VALUES ('session', old.id, old.user_id);
    END IF;
    RETURN NULL;
END
$$;
