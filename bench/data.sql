-- Loads :users users with an API key each, and :sessions sessions, whose tokens can be computed from their number, so
-- that a load generator needs no list. The secret of session n is its number as 12 hexadecimal digits and 31 times "A".
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SET work_mem = '512MB';
SET maintenance_work_mem = '1GB';

CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (kind || lpad(to_hex(n), 8, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid
$$;

-- Built once at the end: what is measured is reading.
BEGIN;
ALTER TABLE auth.sessions DROP CONSTRAINT sessions_user_id_fkey;
DROP INDEX auth.sessions_user_idx, auth.sessions_expires_idx;

INSERT INTO auth.users (id, name, metadata)
SELECT pg_temp.id('0190', n), 'Person ' || n, jsonb_build_object('plan', 'team', 'seat', n)
FROM generate_series(1, :users) n;

INSERT INTO auth.emails (id, user_id, address, canonical, is_primary, verified_at)
SELECT pg_temp.id('0191', n), pg_temp.id('0190', n), 'person' || n || '@example.com',
       'person' || n || '@example.com', true, now()
FROM generate_series(1, :users) n;

-- In no order of users, as sign-ins come. Last seen lies ahead, so that none is due to be written again.
INSERT INTO auth.sessions (id, user_id, secret_hash, aal, amr, user_agent, address, last_seen_at,
                           idle_expires_at, expires_at)
SELECT pg_temp.id('0194', n), pg_temp.id('0190', 1 + (n::bigint * 7919) % :users),
       sha256(decode(lpad(to_hex(n), 12, '0') || repeat('A', 31) || '=', 'base64')),
       1, '{pwd}', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', '192.0.2.1',
       now() + interval '3 hours', now() + interval '7 days', now() + interval '30 days'
FROM generate_series(1, :sessions) n;

-- As many API keys as users, made like the sessions. Last used lies ahead.
INSERT INTO auth.api_keys (id, user_id, created_by, name, scopes, metadata, secret_hash, last_used_at, expires_at)
SELECT pg_temp.id('0195', n), pg_temp.id('0190', 1 + (n::bigint * 7919) % :users),
       pg_temp.id('0190', 1 + (n::bigint * 7919) % :users), 'Key ' || n, '{app:deploy,app:builds.read}',
       jsonb_build_object('env', 'production', 'number', n),
       sha256(decode(lpad(to_hex(n), 12, '0') || repeat('A', 31) || '=', 'base64')),
       now() + interval '3 hours', now() + interval '30 days'
FROM generate_series(1, :users) n;

CREATE INDEX sessions_user_idx ON auth.sessions (user_id, id);
CREATE INDEX sessions_expires_idx ON auth.sessions (least(idle_expires_at, expires_at));
ALTER TABLE auth.sessions ADD CONSTRAINT sessions_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
COMMIT;

VACUUM (ANALYZE) auth.users, auth.emails, auth.sessions, auth.api_keys;
CHECKPOINT;
