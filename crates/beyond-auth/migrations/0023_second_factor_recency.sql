-- When a session's second factor was last presented. A password or a mailed code makes a session fresh; it says nothing
-- of the second factor, which what takes a recent sign-in asks for as well where the account has one.
ALTER TABLE auth.sessions ADD COLUMN second_verified_at timestamptz;
COMMENT ON COLUMN auth.sessions.second_verified_at IS 'When a second factor was last presented; NULL where none was.';
ALTER TABLE auth.refresh_families ADD COLUMN second_verified_at timestamptz;
COMMENT ON COLUMN auth.refresh_families.second_verified_at IS 'The same for the sign-in that the family stands for.';
