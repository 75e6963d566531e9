-- Challenges that wait for a passkey's answer. A row is deleted by its use, whatever comes of it.

CREATE TABLE auth.passkey_challenges (
    id         uuid        PRIMARY KEY,
    -- What it is for, and good for nothing else.
    purpose    text        NOT NULL CHECK (purpose IN ('registration', 'sign_in', 'second_factor', 'step_up')),
    -- Whose: the user, the half-finished sign-in or the session. NULL for a sign-in, where nobody is known yet.
    -- No foreign keys: what is gone asks for nothing.
    subject_id uuid,
    challenge  bytea       NOT NULL CHECK (octet_length(challenge) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK ((subject_id IS NULL) = (purpose = 'sign_in'))
);
COMMENT ON TABLE auth.passkey_challenges IS 'Challenges of registrations and sign-ins by passkey: single use, a few minutes.';
CREATE INDEX passkey_challenges_expires_idx ON auth.passkey_challenges (expires_at);
