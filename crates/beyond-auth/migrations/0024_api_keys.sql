-- Keys of servers: of a person, of an organization, or of the project itself.

CREATE TABLE auth.api_keys (
    id                   uuid        PRIMARY KEY,
    -- Whose it is: one of the two, or neither for a key of the project, which only the operator makes.
    user_id              uuid        REFERENCES auth.users (id) ON DELETE CASCADE,
    organization_id      uuid        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    -- Who made it; NULL for the operator, and for somebody deleted since. A key of an organization outlives its maker.
    created_by           uuid        REFERENCES auth.users (id) ON DELETE SET NULL,
    name                 text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    scopes               text[]      NOT NULL CHECK (cardinality(scopes) <= 50),
    metadata             jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    -- SHA-256 of the secret half of the key; the secret itself is never stored.
    secret_hash          bytea       NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- After a rotation the older secret goes on for a while beside the newer.
    previous_secret_hash bytea       CHECK (octet_length(previous_secret_hash) = 32),
    previous_expires_at  timestamptz,
    -- Uses allowed in so many seconds; NULL: as many as come.
    rate_limit_requests  integer     CHECK (rate_limit_requests > 0),
    rate_limit_seconds   integer     CHECK (rate_limit_seconds > 0),
    -- Opens nothing from then on; NULL: never ends by itself.
    expires_at           timestamptz,
    -- Exact to a minute, written behind the requests.
    last_used_at         timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    -- Soft delete: set once, never cleared.
    revoked_at           timestamptz,
    CHECK (num_nonnulls(user_id, organization_id) <= 1),
    CHECK ((previous_secret_hash IS NULL) = (previous_expires_at IS NULL)),
    CHECK ((rate_limit_requests IS NULL) = (rate_limit_seconds IS NULL))
);
COMMENT ON TABLE auth.api_keys IS 'Keys of servers. A revoked one stays on record for a while.';
CREATE INDEX api_keys_user_idx ON auth.api_keys (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX api_keys_organization_idx ON auth.api_keys (organization_id, id) WHERE organization_id IS NOT NULL;
CREATE INDEX api_keys_created_by_idx ON auth.api_keys (created_by) WHERE created_by IS NOT NULL;
CREATE INDEX api_keys_revoked_idx ON auth.api_keys (revoked_at) WHERE revoked_at IS NOT NULL;

-- A trigger, so that a key deleted with its owner or in plain SQL is in the feed of revocations too. One that has
-- expired needs no revocation: nothing accepts it any more.
CREATE FUNCTION auth.note_revoked_api_key() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF old.revoked_at IS NULL AND (old.expires_at IS NULL OR old.expires_at > now())
        AND (tg_op = 'DELETE' OR new.revoked_at IS NOT NULL)
    THEN
        INSERT INTO auth.revocations (kind, subject_id, user_id) VALUES ('api_key', old.id, old.user_id);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION auth.note_revoked_api_key() FROM PUBLIC;
CREATE TRIGGER api_keys_note_revoked AFTER DELETE OR UPDATE OF revoked_at ON auth.api_keys
    FOR EACH ROW EXECUTE FUNCTION auth.note_revoked_api_key();
