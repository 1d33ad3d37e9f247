-- The audit log: written in the transaction of what it tells about, read by few, changed by nobody.

-- +goose Up
CREATE TABLE audit.entry (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor       uuid,                                            -- NULL: nobody signed in, or maintenance
  on_behalf   uuid,
  session_id  uuid,
  device      text,
  ip          inet,
  module      text,
  feature     text NOT NULL,
  action      text NOT NULL CHECK (action IN ('C', 'R', 'U', 'D', 'E')),  -- create, read, update, delete, execute
  object_kind text NOT NULL,
  object_id   uuid,
  object_ids  uuid[],                                          -- of a list
  patient_id  uuid,
  outcome     text NOT NULL DEFAULT 'ok' CHECK (outcome IN ('ok', 'denied', 'failed')),
  reason      text,
  fields      text[],                                          -- names of changed fields
  old_values  jsonb,                                           -- never the text of notes or documents
  new_values  jsonb,
  request_id  uuid,
  salt        bytea NOT NULL DEFAULT uuid_send(gen_random_uuid())
);
CREATE INDEX entry_at ON audit.entry (at);
CREATE INDEX entry_patient ON audit.entry (patient_id, at) WHERE patient_id IS NOT NULL;
CREATE INDEX entry_object ON audit.entry (object_id, at) WHERE object_id IS NOT NULL;
CREATE INDEX entry_actor ON audit.entry (actor, at);

ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.entry FORCE ROW LEVEL SECURITY;
-- Not id, xid, at and salt: when an entry was written is not for the writer to say.
GRANT INSERT (actor, session_id, device, ip, module, feature, action, object_kind, object_id, object_ids, patient_id, outcome, reason, fields, old_values,
  new_values, request_id) ON audit.entry TO pm_app;
GRANT INSERT ON audit.entry TO pm_migrate;
GRANT SELECT ON audit.entry TO pm_app, pm_auditor;
GRANT USAGE ON SCHEMA audit TO pm_auditor;
CREATE POLICY entry_insert       ON audit.entry FOR INSERT TO pm_app   WITH CHECK (actor IS NOT DISTINCT FROM (SELECT sec.uid()));
CREATE POLICY entry_insert_owner ON audit.entry FOR INSERT TO pm_owner WITH CHECK (true);
CREATE POLICY entry_select       ON audit.entry FOR SELECT TO pm_app   USING ((SELECT sec.can('audit.entry', 'view')) AND (SELECT sec.scope('audit.entry')) = 'all');
CREATE POLICY entry_select_audit ON audit.entry FOR SELECT TO pm_auditor USING (true);

-- +goose StatementBegin
-- append_only refuses UPDATE, DELETE and TRUNCATE for everybody, the tables' owner included.
CREATE FUNCTION audit.append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = '55000';
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.entry FOR EACH ROW EXECUTE FUNCTION audit.append_only();
CREATE TRIGGER append_only_all BEFORE TRUNCATE ON audit.entry FOR EACH STATEMENT EXECUTE FUNCTION audit.append_only();

-- +goose StatementBegin
-- row_changed writes the entry of a changed row. Arguments: feature, object kind, then columns whose content never
-- enters the log. A bulk load as pm_migrate (setting pm.bulk) writes one entry of its own instead.
CREATE FUNCTION audit.row_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  technical text[] := ARRAY['version', 'change_seq', 'change_xid', 'updated_at', 'search_key'] || TG_ARGV[2:];
  row_now   jsonb;
  was       jsonb;
  now_      jsonb;
  names     text[];
BEGIN
  IF TG_OP = 'INSERT' AND session_user = 'pm_migrate' AND coalesce(current_setting('pm.bulk', true), '') <> '' THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    row_now := to_jsonb(NEW);
    SELECT array_agg(n.key ORDER BY n.key), jsonb_object_agg(n.key, o.value) FILTER (WHERE n.key <> ALL (technical)),
           jsonb_object_agg(n.key, n.value) FILTER (WHERE n.key <> ALL (technical))
      INTO names, was, now_
      FROM jsonb_each(row_now) n JOIN jsonb_each(to_jsonb(OLD)) o ON o.key = n.key
     WHERE n.value IS DISTINCT FROM o.value AND (n.key <> ALL (technical) OR n.key = ANY (TG_ARGV[2:]));
  ELSIF TG_OP = 'INSERT' THEN
    row_now := to_jsonb(NEW);
  ELSE
    row_now := to_jsonb(OLD);
  END IF;
  INSERT INTO audit.entry (actor, session_id, device, ip, module, feature, action, object_kind, object_id, patient_id, fields, old_values, new_values, request_id)
  VALUES (sec.uid(), nullif(current_setting('pm.session', true), '')::uuid, nullif(current_setting('pm.device', true), ''),
          nullif(current_setting('pm.ip', true), '')::inet, split_part(TG_ARGV[0], '.', 1), TG_ARGV[0],
          CASE TG_OP WHEN 'INSERT' THEN 'C' WHEN 'UPDATE' THEN 'U' ELSE 'D' END, TG_ARGV[1],
          coalesce(row_now ->> 'id', row_now ->> 'session_id', row_now ->> 'account_id')::uuid,
          CASE WHEN TG_ARGV[1] = 'patient' THEN (row_now ->> 'id')::uuid ELSE (row_now ->> 'patient_id')::uuid END,
          names, was, now_, nullif(current_setting('pm.request', true), '')::uuid);
  RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER audited AFTER INSERT OR DELETE OR UPDATE OF kind, login, name, title, email, auth_source, state ON sec.account FOR EACH ROW EXECUTE FUNCTION audit.row_changed('admin.account', 'account');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON sec.account_role   FOR EACH ROW EXECUTE FUNCTION audit.row_changed('admin.account', 'account_role');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON sec.account_module FOR EACH ROW EXECUTE FUNCTION audit.row_changed('admin.account', 'account_module');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON sec.account_group  FOR EACH ROW EXECUTE FUNCTION audit.row_changed('admin.account', 'account_group');
