-- What later features hang on a session, and the feed of what was revoked.

ALTER TABLE auth.sessions
    -- The organization that the person acts for.
    ADD COLUMN organization_id uuid,
    -- Who acts as the user, in the operator's words; NULL for the user in person. Such a session is not renewed.
    ADD COLUMN impersonator text CHECK (char_length(impersonator) BETWEEN 1 AND 200);

CREATE TABLE auth.revocations (
    position    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The transaction that revoked. Positions are handed out before commit; a reader that stays below the oldest
    -- transaction still running misses nothing.
    xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
    kind        text        NOT NULL CHECK (kind IN ('session', 'user', 'api_key')),
    subject_id  uuid        NOT NULL,
    user_id     uuid,
    revoked_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.revocations IS
    'What was revoked lately, for edge verifiers that hold JWTs. Rows outlive any JWT and are then purged.';
CREATE INDEX revocations_feed_idx ON auth.revocations (xid, position);
CREATE INDEX revocations_revoked_idx ON auth.revocations (revoked_at);

-- A trigger, so that a session deleted by cascade or in plain SQL is in the feed too. One that has expired needs
-- no revocation: nothing accepts it any more.
CREATE FUNCTION auth.note_revoked_session() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF old.expires_at > now() AND old.idle_expires_at > now() THEN
        INSERT INTO auth.revocations (kind, subject_id, user_id) VALUES ('session', old.id, old.user_id);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION auth.note_revoked_session() FROM PUBLIC;
CREATE TRIGGER sessions_note_revoked AFTER DELETE ON auth.sessions
    FOR EACH ROW EXECUTE FUNCTION auth.note_revoked_session();

CREATE FUNCTION auth.note_revoked_user() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF tg_op = 'DELETE' OR (new.banned_at IS NOT NULL AND old.banned_at IS NULL) THEN
        INSERT INTO auth.revocations (kind, subject_id, user_id) VALUES ('user', old.id, old.id);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION auth.note_revoked_user() FROM PUBLIC;
CREATE TRIGGER users_note_revoked AFTER DELETE OR UPDATE OF banned_at ON auth.users
    FOR EACH ROW EXECUTE FUNCTION auth.note_revoked_user();
