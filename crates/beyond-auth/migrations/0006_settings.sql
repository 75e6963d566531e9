-- What belongs to the project and must fork with it.

CREATE TABLE auth.settings (
    -- One row at most.
    singleton   boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    -- Only what differs from the defaults in the code.
    overrides   jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(overrides) = 'object'),
    -- Rises with each change; the ETag.
    revision    bigint      NOT NULL DEFAULT 1,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.settings IS 'The project''s settings, as differences from the defaults.';
INSERT INTO auth.settings DEFAULT VALUES;
