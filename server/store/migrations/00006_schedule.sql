-- Appointments. Two of them can never take the same practitioner or the same room at the same time.

-- +goose Up
CREATE TABLE pm.appointment (
  id              uuid PRIMARY KEY,
  patient_id      uuid REFERENCES pm.patient,                 -- NULL: blocked time
  practitioner_id uuid NOT NULL REFERENCES sec.account,
  room_id         uuid REFERENCES pm.room,
  during          tstzrange NOT NULL CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during)
                    AND upper(during) - lower(during) <= interval '24 hours'),
  status          text NOT NULL DEFAULT 'booked' CHECK (status IN ('pending', 'booked', 'arrived', 'done', 'cancelled', 'noshow')),
  kind            text NOT NULL DEFAULT '',                   -- "first visit", "therapy", …
  remark          text NOT NULL DEFAULT '',
  owner_id        uuid NOT NULL REFERENCES sec.account,
  facility_id     uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  version         bigint NOT NULL DEFAULT 1,
  change_seq      bigint NOT NULL DEFAULT 0,
  change_xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CONSTRAINT appointment_practitioner_free EXCLUDE USING gist (practitioner_id WITH =, during WITH &&) WHERE (status IN ('pending', 'booked', 'arrived')),
  CONSTRAINT appointment_room_free EXCLUDE USING gist (room_id WITH =, during WITH &&) WHERE (status IN ('pending', 'booked', 'arrived') AND room_id IS NOT NULL)
);
CREATE INDEX appointment_day ON pm.appointment (lower(during));
CREATE INDEX appointment_patient ON pm.appointment (patient_id);
CREATE INDEX appointment_owner ON pm.appointment (owner_id);
CREATE INDEX appointment_change ON pm.appointment (change_xid, change_seq);
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON pm.appointment FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON pm.appointment FOR EACH ROW EXECUTE FUNCTION audit.row_changed('schedule.appointment', 'appointment');

ALTER TABLE pm.appointment ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.appointment FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON pm.appointment TO pm_app;
GRANT UPDATE (practitioner_id, room_id, during, status, kind, remark, facility_id) ON pm.appointment TO pm_app;

CREATE POLICY appointment_select ON pm.appointment FOR SELECT TO pm_app
  USING ((SELECT sec.can('schedule.appointment', 'view')) AND ((SELECT sec.scope('schedule.appointment')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR practitioner_id = (SELECT sec.uid())
    OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY appointment_insert ON pm.appointment FOR INSERT TO pm_app
  WITH CHECK ((SELECT sec.can('schedule.appointment', 'add')) AND owner_id = (SELECT sec.uid())
    AND (patient_id IS NULL OR EXISTS (SELECT 1 FROM pm.patient p WHERE p.id = patient_id)));
CREATE POLICY appointment_update ON pm.appointment FOR UPDATE TO pm_app
  USING ((SELECT sec.can('schedule.appointment', 'edit')) AND ((SELECT sec.scope('schedule.appointment')) = 'all'
    OR practitioner_id = (SELECT sec.uid()) OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)))
  WITH CHECK ((SELECT sec.can('schedule.appointment', 'edit')));
