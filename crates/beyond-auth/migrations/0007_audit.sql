-- Who did what. Written in the same transaction as the act.

CREATE TABLE auth.audit_events (
    id          uuid        PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    -- Dotted, past tense: 'user.created', 'session.created', 'password.changed'.
    action      text        NOT NULL,
    actor_kind  text        NOT NULL CHECK (actor_kind IN ('user', 'admin', 'api_key', 'system')),
    actor_id    uuid,
    -- Whom it was done to. No foreign key: the record outlives the user.
    user_id     uuid,
    session_id  uuid,
    address     inet,
    user_agent  text,
    request_id  text,
    -- Small facts about the act; never a secret.
    details     jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE auth.audit_events IS 'Append-only record of security-relevant acts.';
CREATE INDEX audit_events_occurred_idx ON auth.audit_events (occurred_at, id);
CREATE INDEX audit_events_user_idx ON auth.audit_events (user_id, id);
