-- Invitations into organizations, by mail.

CREATE TABLE auth.organization_invitations (
    -- Also the id part of the token.
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES auth.organizations (id) ON DELETE CASCADE,
    -- Whom: as written, and by what it is compared. Whether anybody has an account with it plays no part.
    address         text        NOT NULL CHECK (octet_length(address) <= 254),
    canonical       text        NOT NULL CHECK (octet_length(canonical) <= 254),
    -- As what: a built-in role, or 'custom' with the role's row. A role that goes takes its invitations along.
    role            text        NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'custom')),
    role_id         uuid,
    -- Who invited, or sent it again last: has to be entitled still when it is accepted. NULL: deleted since.
    invited_by      uuid        REFERENCES auth.users (id) ON DELETE SET NULL,
    -- SHA-256 of the secret half of the token. NULL until the mail is sent: it is minted then, and each sending
    -- mints another one.
    secret_hash     bytea       CHECK (octet_length(secret_hash) = 32),
    state           text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'accepted', 'declined', 'cancelled')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    CHECK ((role_id IS NOT NULL) = (role = 'custom')),
    CHECK ((ended_at IS NULL) = (state = 'pending')),
    FOREIGN KEY (organization_id, role_id) REFERENCES auth.organization_roles (organization_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE auth.organization_invitations IS 'Invitations to addresses. Ended and expired ones stay on record for a while.';
CREATE UNIQUE INDEX organization_invitations_pending_key ON auth.organization_invitations (organization_id, canonical)
    WHERE state = 'pending';
CREATE INDEX organization_invitations_list_idx ON auth.organization_invitations (organization_id, id);
CREATE INDEX organization_invitations_canonical_idx ON auth.organization_invitations (canonical, id)
    WHERE state = 'pending';
CREATE INDEX organization_invitations_inviter_idx ON auth.organization_invitations (invited_by)
    WHERE invited_by IS NOT NULL;
CREATE INDEX organization_invitations_ended_idx ON auth.organization_invitations (COALESCE(ended_at, expires_at));

ALTER TABLE auth.sessions VALIDATE CONSTRAINT sessions_organization_member_fkey;
