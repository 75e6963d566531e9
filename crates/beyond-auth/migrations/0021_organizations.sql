-- Organizations: who belongs to which, with which role.

CREATE TABLE auth.organizations (
    id                       uuid        PRIMARY KEY,
    name                     text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- Names the organization in addresses. One spelling; never the text of an id.
    slug                     text        NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND char_length(slug) <= 63),
    metadata                 jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    -- Policy. Authenticator assurance level that acting for the organization takes.
    required_aal             smallint    NOT NULL DEFAULT 1 CHECK (required_aal BETWEEN 1 AND 2),
    -- Ways of signing in that count for it; NULL: all.
    allowed_methods          text[]      CHECK (cardinality(allowed_methods) >= 1),
    -- Sessions of members live this long at most: without use, and since a credential was presented. NULL: as the
    -- project says.
    session_idle_seconds     integer     CHECK (session_idle_seconds > 0),
    session_absolute_seconds integer     CHECK (session_absolute_seconds > 0),
    created_at               timestamptz NOT NULL DEFAULT now(),
    updated_at               timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT organizations_slug_key UNIQUE (slug)
);
COMMENT ON TABLE auth.organizations IS 'Teams, companies, workspaces. Applications may join it and hold foreign keys to id.';

CREATE TABLE auth.organization_roles (
    id              uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL REFERENCES auth.organizations (id) ON DELETE CASCADE,
    -- What people and programs call it; never the name of a built-in role.
    name            text        NOT NULL CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'
                                                AND name NOT IN ('owner', 'admin', 'member', 'me')),
    description     text        CHECK (char_length(description) <= 200),
    permissions     text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(permissions) <= 100),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT organization_roles_name_key UNIQUE (organization_id, name),
    -- So that nobody can hold a role of another organization.
    UNIQUE (organization_id, id)
);
COMMENT ON TABLE auth.organization_roles IS 'Roles that an organization has made beside owner, admin and member.';

CREATE TABLE auth.organization_members (
    organization_id uuid        NOT NULL REFERENCES auth.organizations (id) ON DELETE CASCADE,
    user_id         uuid        NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    -- A built-in role, or 'custom' with the role's row.
    role            text        NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'custom')),
    role_id         uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, user_id),
    CHECK ((role_id IS NOT NULL) = (role = 'custom')),
    CONSTRAINT organization_members_role_fkey
        FOREIGN KEY (organization_id, role_id) REFERENCES auth.organization_roles (organization_id, id)
);
COMMENT ON TABLE auth.organization_members IS 'Who belongs to an organization. It always has an owner.';
CREATE INDEX organization_members_user_idx ON auth.organization_members (user_id, organization_id);
CREATE INDEX organization_members_role_idx ON auth.organization_members (organization_id, role_id)
    WHERE role_id IS NOT NULL;

-- A session acts for an organization only while its user is a member, whoever ends the membership and how.
ALTER TABLE auth.sessions
    ADD CONSTRAINT sessions_organization_member_fkey
        FOREIGN KEY (organization_id, user_id) REFERENCES auth.organization_members (organization_id, user_id) NOT VALID,
    -- Shorter than the project's, where an organization of the user asks for that.
    ADD COLUMN idle_limit_seconds integer CHECK (idle_limit_seconds > 0);
CREATE INDEX sessions_organization_idx ON auth.sessions (organization_id, user_id) WHERE organization_id IS NOT NULL;

-- Fires once the member's row is locked: a session that is just switching is either seen here, or finds no member.
CREATE FUNCTION auth.leave_organization() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE auth.sessions SET organization_id = NULL
    WHERE organization_id = old.organization_id AND user_id = old.user_id;
    RETURN old;
END
$$;
REVOKE ALL ON FUNCTION auth.leave_organization() FROM PUBLIC;
CREATE TRIGGER organization_members_leave BEFORE DELETE ON auth.organization_members
    FOR EACH ROW EXECUTE FUNCTION auth.leave_organization();
