-- Why people were not let in, for the operator: newest first.

CREATE INDEX audit_events_refused_idx ON auth.audit_events (id)
    WHERE action IN ('sign_in.refused', 'oauth.refused');
