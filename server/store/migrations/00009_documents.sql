-- Documents in the database, in pieces small enough to stream, so that backup, standby and transactions have one story.

-- +goose Up
CREATE TABLE pm.document (
  id          uuid PRIMARY KEY,
  patient_id  uuid NOT NULL REFERENCES pm.patient,
  session_id  uuid REFERENCES pm.session,
  name        text NOT NULL CHECK (name <> '' AND length(name) <= 255),
  category    text NOT NULL DEFAULT '',
  media_type  text NOT NULL,
  size        bigint NOT NULL CHECK (size >= 0),               -- bytes
  sha256      bytea NOT NULL CHECK (octet_length(sha256) = 32),
  owner_id    uuid NOT NULL REFERENCES sec.account,
  facility_id uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  version     bigint NOT NULL DEFAULT 1,
  change_seq  bigint NOT NULL DEFAULT 0,
  change_xid  xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX document_patient ON pm.document (patient_id, created_at);
CREATE INDEX document_owner ON pm.document (owner_id);
CREATE INDEX document_change ON pm.document (change_xid, change_seq);
CREATE TABLE pm.document_chunk (
  document_id uuid NOT NULL REFERENCES pm.document,
  seq         integer NOT NULL CHECK (seq >= 0),
  data        bytea NOT NULL CHECK (octet_length(data) BETWEEN 1 AND 262144),
  PRIMARY KEY (document_id, seq)
);
ALTER TABLE pm.document_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON pm.document FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON pm.document FOR EACH ROW EXECUTE FUNCTION audit.row_changed('records.document', 'document');

ALTER TABLE pm.document       ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.document_chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.document       FORCE ROW LEVEL SECURITY;
ALTER TABLE pm.document_chunk FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON pm.document, pm.document_chunk TO pm_app;
GRANT UPDATE (name, category) ON pm.document TO pm_app;

CREATE POLICY document_select ON pm.document FOR SELECT TO pm_app
  USING ((SELECT sec.can('records.document', 'view')) AND ((SELECT sec.scope('records.document')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY document_insert ON pm.document FOR INSERT TO pm_app
  WITH CHECK ((SELECT sec.can('records.document', 'add')) AND owner_id = (SELECT sec.uid())
    AND EXISTS (SELECT 1 FROM pm.patient p WHERE p.id = patient_id)
    AND (session_id IS NULL OR EXISTS (SELECT 1 FROM pm.session s WHERE s.id = session_id AND s.patient_id = document.patient_id)));
CREATE POLICY document_update ON pm.document FOR UPDATE TO pm_app
  USING ((SELECT sec.can('records.document', 'edit')) AND ((SELECT sec.scope('records.document')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY document_chunk_select ON pm.document_chunk FOR SELECT TO pm_app
  USING (EXISTS (SELECT 1 FROM pm.document d WHERE d.id = document_id));
CREATE POLICY document_chunk_insert ON pm.document_chunk FOR INSERT TO pm_app
  WITH CHECK (EXISTS (SELECT 1 FROM pm.document d WHERE d.id = document_id AND d.owner_id = (SELECT sec.uid())
    AND d.change_xid = pg_current_xact_id() AND d.created_at = now())); -- content comes with the document, never with a later change

-- Maintenance and bulk loads run as pm_migrate, which row security does not bind. pm_backup reads what it copies.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sec, pm TO pm_migrate;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA sec, pm TO pm_migrate;
