-- Lets a process find out at start-up whether its key-encryption key is the one this database was sealed
-- with, before it writes anything.

CREATE TABLE auth.key_encryption_keys (
    -- First eight bytes of SHA-256 of the key, in hex.
    id          text        PRIMARY KEY,
    -- A known text sealed under the key.
    probe       bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.key_encryption_keys IS 'Which key-encryption keys have sealed columns here. Holds no key.';
