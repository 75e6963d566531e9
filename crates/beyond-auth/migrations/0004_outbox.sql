-- Mail that waits to be sent: a row says what to send and to which address, never with which secret.

CREATE TABLE auth.outbox (
    id              uuid        PRIMARY KEY,
    -- Names the composer that turns the row into a mail, e.g. verify_email.
    kind            text        NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    -- Origin of the public URL of the deployment that queued the mail. A fork of this database under another
    -- URL leaves the rows of the original alone.
    deployment      text        NOT NULL,
    user_id         uuid        REFERENCES auth.users (id) ON DELETE CASCADE,
    -- Where to: an address row (a removed address takes its waiting mail with it) or a bare address.
    email_id        uuid        REFERENCES auth.emails (id) ON DELETE CASCADE,
    to_address      text        CHECK (octet_length(to_address) <= 320),
    -- What the composer needs beyond the references. No secrets, nothing that could be replayed.
    payload         jsonb       NOT NULL DEFAULT '{}'
                                CHECK (jsonb_typeof(payload) = 'object' AND octet_length(payload::text) <= 16384),
    locale          text        NOT NULL DEFAULT 'en' CHECK (octet_length(locale) <= 35),
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- Attempts begun. Also the fence by which a worker that lost its lease notices.
    attempts        integer     NOT NULL DEFAULT 0,
    -- While in the future, a worker has the row; one that dies leaves it to the others then.
    locked_until    timestamptz,
    sent_at         timestamptz,
    failed_at       timestamptz,
    -- Why the last attempt failed: the reply code and text of the server, shortened and cleaned of links.
    last_error      text        CHECK (octet_length(last_error) <= 2000),
    CONSTRAINT outbox_has_a_destination CHECK (email_id IS NOT NULL OR to_address IS NOT NULL),
    CONSTRAINT outbox_ends_once CHECK (sent_at IS NULL OR failed_at IS NULL)
);
COMMENT ON TABLE auth.outbox IS
    'Mail waiting, sent or given up, written in the transaction of what caused it. Sent rows are purged after a while.';
CREATE INDEX outbox_waiting_idx ON auth.outbox (deployment, next_attempt_at, id)
    WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX outbox_ended_idx ON auth.outbox ((COALESCE(sent_at, failed_at)))
    WHERE sent_at IS NOT NULL OR failed_at IS NOT NULL;
CREATE INDEX outbox_user_idx ON auth.outbox (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX outbox_email_idx ON auth.outbox (email_id) WHERE email_id IS NOT NULL;
