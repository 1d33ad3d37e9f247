-- Sessions (date, price, status) apart from what was said in them: two tables with two policies, so that the front desk
-- can see the one without the other.

-- +goose Up
CREATE TABLE pm.session (
  id              uuid PRIMARY KEY,
  patient_id      uuid NOT NULL REFERENCES pm.patient,
  practitioner_id uuid NOT NULL REFERENCES sec.account,
  appointment_id  uuid REFERENCES pm.appointment,
  held_at         timestamptz NOT NULL,
  duration_min    integer NOT NULL DEFAULT 50 CHECK (duration_min BETWEEN 0 AND 1440),
  kind            text NOT NULL DEFAULT '',
  code            text NOT NULL DEFAULT '',                    -- billing code
  price_minor     bigint NOT NULL DEFAULT 0 CHECK (price_minor BETWEEN 0 AND 100000000),  -- in cents
  status          text NOT NULL DEFAULT 'held' CHECK (status IN ('planned', 'held', 'missed', 'cancelled')),
  owner_id        uuid NOT NULL REFERENCES sec.account,
  facility_id     uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  version         bigint NOT NULL DEFAULT 1,
  change_seq      bigint NOT NULL DEFAULT 0,
  change_xid      xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX session_patient ON pm.session (patient_id, held_at);
CREATE INDEX session_held ON pm.session (held_at);
CREATE INDEX session_owner ON pm.session (owner_id);
CREATE INDEX session_change ON pm.session (change_xid, change_seq);

CREATE TABLE pm.session_note (                                 -- one a session: which version counts, and whether it is signed
  session_id  uuid PRIMARY KEY REFERENCES pm.session,
  patient_id  uuid NOT NULL REFERENCES pm.patient,
  status      text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'signed')),
  head        uuid,                                            -- newest note_version
  signed_by   uuid REFERENCES sec.account,
  signed_at   timestamptz,
  owner_id    uuid NOT NULL REFERENCES sec.account,
  facility_id uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  version     bigint NOT NULL DEFAULT 1,
  change_seq  bigint NOT NULL DEFAULT 0,
  change_xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CHECK ((status = 'signed') = (signed_at IS NOT NULL))
);
CREATE INDEX session_note_patient ON pm.session_note (patient_id);
CREATE INDEX session_note_change ON pm.session_note (change_xid, change_seq);

CREATE TABLE pm.note_version (                                 -- what was written, for ever
  id          uuid PRIMARY KEY,
  session_id  uuid NOT NULL REFERENCES pm.session_note,
  patient_id  uuid NOT NULL REFERENCES pm.patient,
  parents     uuid[] NOT NULL DEFAULT '{}',
  body        text NOT NULL CHECK (octet_length(body) <= 1048576),
  body_sha256 bytea NOT NULL,
  device      text NOT NULL DEFAULT '',
  op_id       uuid NOT NULL UNIQUE,                            -- the writer's name for this save: a retry changes nothing
  owner_id    uuid NOT NULL REFERENCES sec.account,            -- the author
  facility_id uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at  timestamptz NOT NULL DEFAULT now(),
  version     bigint NOT NULL DEFAULT 1,
  change_seq  bigint NOT NULL DEFAULT 0,
  change_xid  xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX note_version_session ON pm.note_version (session_id, created_at);
CREATE INDEX note_version_change ON pm.note_version (change_xid, change_seq);

-- +goose StatementBegin
-- note_open refuses to touch a signed note, whoever asks, says who signs and when, and fills the hash of a version.
CREATE FUNCTION pm.note_open() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  IF TG_TABLE_NAME = 'session_note' THEN
    IF OLD.status = 'signed' THEN
      RAISE EXCEPTION 'the note is signed' USING ERRCODE = '55000';
    END IF;
    IF TG_OP = 'DELETE' THEN
      RETURN OLD;
    END IF;
    IF NEW.status = 'signed' AND session_user <> 'pm_migrate' THEN
      NEW.signed_by := sec.uid();
      NEW.signed_at := now();
    END IF;
    RETURN NEW;
  END IF;
  NEW.body_sha256 := sha256(convert_to(NEW.body, 'UTF8'));
  IF EXISTS (SELECT 1 FROM pm.session_note n WHERE n.session_id = NEW.session_id AND n.status = 'signed')
     AND NOT (session_user = 'pm_migrate' AND coalesce(current_setting('pm.bulk', true), '') <> '') THEN
    RAISE EXCEPTION 'the note is signed' USING ERRCODE = '55000';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd

CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON pm.session FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON pm.session_note FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER stamp BEFORE INSERT ON pm.note_version FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER open BEFORE UPDATE OR DELETE ON pm.session_note FOR EACH ROW EXECUTE FUNCTION pm.note_open();
CREATE TRIGGER open BEFORE INSERT ON pm.note_version FOR EACH ROW EXECUTE FUNCTION pm.note_open();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pm.note_version FOR EACH ROW EXECUTE FUNCTION audit.append_only();
CREATE TRIGGER append_only_all BEFORE TRUNCATE ON pm.note_version FOR EACH STATEMENT EXECUTE FUNCTION audit.append_only();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON pm.session FOR EACH ROW EXECUTE FUNCTION audit.row_changed('charting.session', 'session');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON pm.session_note FOR EACH ROW EXECUTE FUNCTION audit.row_changed('charting.note', 'session_note');
CREATE TRIGGER audited AFTER INSERT ON pm.note_version FOR EACH ROW EXECUTE FUNCTION audit.row_changed('charting.note', 'note_version', 'body');

ALTER TABLE pm.session      ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.session_note ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.note_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.session      FORCE ROW LEVEL SECURITY;
ALTER TABLE pm.session_note FORCE ROW LEVEL SECURITY;
ALTER TABLE pm.note_version FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON pm.session, pm.session_note, pm.note_version TO pm_app;
GRANT UPDATE (held_at, duration_min, kind, code, price_minor, status, appointment_id) ON pm.session TO pm_app;
GRANT UPDATE (status, head, signed_by, signed_at) ON pm.session_note TO pm_app;

CREATE POLICY session_select ON pm.session FOR SELECT TO pm_app
  USING ((SELECT sec.can('charting.session', 'view')) AND ((SELECT sec.scope('charting.session')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY session_insert ON pm.session FOR INSERT TO pm_app
  WITH CHECK ((SELECT sec.can('charting.session', 'add')) AND owner_id = (SELECT sec.uid())
    AND EXISTS (SELECT 1 FROM pm.patient p WHERE p.id = patient_id)
    AND (appointment_id IS NULL OR EXISTS (SELECT 1 FROM pm.appointment a WHERE a.id = appointment_id)));
CREATE POLICY session_update ON pm.session FOR UPDATE TO pm_app
  USING ((SELECT sec.can('charting.session', 'edit')) AND ((SELECT sec.scope('charting.session')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)))
  WITH CHECK ((SELECT sec.can('charting.session', 'edit'))
    AND (appointment_id IS NULL OR EXISTS (SELECT 1 FROM pm.appointment a WHERE a.id = appointment_id)));

-- A wide scope on sessions or patients must not open notes: own or shared is asked of the note itself.
CREATE POLICY session_note_select ON pm.session_note FOR SELECT TO pm_app
  USING ((SELECT sec.can('charting.note', 'view')) AND ((SELECT sec.scope('charting.note')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY session_note_insert ON pm.session_note FOR INSERT TO pm_app
  WITH CHECK ((SELECT sec.can('charting.note', 'add')) AND owner_id = (SELECT sec.uid()) AND status = 'draft'
    AND EXISTS (SELECT 1 FROM pm.session s WHERE s.id = session_id AND s.patient_id = session_note.patient_id
      AND ((SELECT sec.scope('charting.note')) = 'all' OR s.owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = s.patient_id))));
CREATE POLICY session_note_update ON pm.session_note FOR UPDATE TO pm_app
  USING ((SELECT sec.can('charting.note', 'edit')) AND ((SELECT sec.scope('charting.note')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY note_version_select ON pm.note_version FOR SELECT TO pm_app
  USING ((SELECT sec.can('charting.note', 'view')) AND ((SELECT sec.scope('charting.note')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY note_version_insert ON pm.note_version FOR INSERT TO pm_app
  WITH CHECK (CASE WHEN parents = '{}' THEN (SELECT sec.can('charting.note', 'add')) ELSE (SELECT sec.can('charting.note', 'edit')) END
    AND owner_id = (SELECT sec.uid())
    AND EXISTS (SELECT 1 FROM pm.session_note n WHERE n.session_id = note_version.session_id AND n.patient_id = note_version.patient_id));
