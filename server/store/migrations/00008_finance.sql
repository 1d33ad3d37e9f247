-- Invoices with gapless reference numbers, their charges, and payments. Amounts are in minor units (cents).

-- +goose Up
CREATE TABLE pm.invoice (
  id          uuid PRIMARY KEY,
  patient_id  uuid NOT NULL REFERENCES pm.patient,
  ref_no      text NOT NULL UNIQUE,                            -- "2026-000123-17": year, number, account; made by the trigger
  issued_on   date NOT NULL,
  due_on      date NOT NULL,
  recipient   text NOT NULL DEFAULT '',
  remark      text NOT NULL DEFAULT '',
  currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  total_minor bigint NOT NULL CHECK (total_minor BETWEEN 0 AND 10000000000),
  status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'paid', 'cancelled')),
  owner_id    uuid NOT NULL REFERENCES sec.account,
  facility_id uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  version     bigint NOT NULL DEFAULT 1,
  change_seq  bigint NOT NULL DEFAULT 0,
  change_xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CHECK (due_on >= issued_on)
);
CREATE INDEX invoice_patient ON pm.invoice (patient_id);
CREATE INDEX invoice_issued ON pm.invoice (issued_on, id);
CREATE INDEX invoice_owner ON pm.invoice (owner_id);
CREATE INDEX invoice_change ON pm.invoice (change_xid, change_seq);

CREATE TABLE pm.charge (                                       -- one line of an invoice
  id           uuid PRIMARY KEY,
  invoice_id   uuid NOT NULL REFERENCES pm.invoice,
  patient_id   uuid NOT NULL REFERENCES pm.patient,
  session_id   uuid REFERENCES pm.session,
  reverses     uuid UNIQUE,                                    -- a posted charge is never changed, only reversed, on the same invoice
  performed_on date NOT NULL,
  code         text NOT NULL DEFAULT '',
  description  text NOT NULL,
  quantity     integer NOT NULL DEFAULT 1 CHECK (quantity BETWEEN 1 AND 10000),
  unit_minor   bigint NOT NULL CHECK (abs(unit_minor) <= 100000000),
  amount_minor bigint NOT NULL,
  owner_id     uuid NOT NULL REFERENCES sec.account,
  facility_id  uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  version      bigint NOT NULL DEFAULT 1,
  change_seq   bigint NOT NULL DEFAULT 0,
  change_xid   xid8 NOT NULL DEFAULT pg_current_xact_id(),
  CHECK (amount_minor = quantity * unit_minor),
  CHECK ((unit_minor < 0) <= (reverses IS NOT NULL)),
  UNIQUE (id, invoice_id),
  FOREIGN KEY (reverses, invoice_id) REFERENCES pm.charge (id, invoice_id)
);
CREATE INDEX charge_invoice ON pm.charge (invoice_id);
CREATE INDEX charge_session ON pm.charge (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX charge_patient ON pm.charge (patient_id);
CREATE INDEX charge_change ON pm.charge (change_xid, change_seq);

CREATE TABLE pm.payment (
  id           uuid PRIMARY KEY,
  invoice_id   uuid NOT NULL REFERENCES pm.invoice,
  patient_id   uuid NOT NULL REFERENCES pm.patient,
  received_on  date NOT NULL,
  amount_minor bigint NOT NULL CHECK (amount_minor <> 0 AND abs(amount_minor) <= 10000000000),
  method       text NOT NULL DEFAULT 'transfer' CHECK (method IN ('transfer', 'cash', 'card', 'other')),
  reverses     uuid UNIQUE REFERENCES pm.payment,
  owner_id     uuid NOT NULL REFERENCES sec.account,
  facility_id  uuid NOT NULL DEFAULT '01900000-0000-7000-8000-000000000001' REFERENCES pm.facility,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  version      bigint NOT NULL DEFAULT 1,
  change_seq   bigint NOT NULL DEFAULT 0,
  change_xid   xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX payment_invoice ON pm.payment (invoice_id);
CREATE INDEX payment_change ON pm.payment (change_xid, change_seq);

-- +goose StatementBegin
-- number_invoice gives the next number of the creating account and year. The counter row stays locked until the
-- transaction ends: a roll back gives the number back, so there is never a gap.
CREATE FUNCTION pm.number_invoice() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  y   integer := extract(year FROM NEW.issued_on);
  n   bigint;
  acc integer;
BEGIN
  INSERT INTO sec.ref_counter AS c (account_id, year, last) VALUES (NEW.owner_id, y, 1)
  ON CONFLICT (account_id, year) DO UPDATE SET last = c.last + 1 RETURNING last INTO n;
  SELECT number INTO acc FROM sec.account WHERE id = NEW.owner_id;
  NEW.ref_no := format('%s-%s-%s', y, lpad(n::text, 6, '0'), acc);
  RETURN NEW;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION pm.number_invoice() FROM PUBLIC;

CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON pm.invoice FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER number BEFORE INSERT ON pm.invoice FOR EACH ROW EXECUTE FUNCTION pm.number_invoice();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON pm.charge FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON pm.payment FOR EACH ROW EXECUTE FUNCTION pm.stamp();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pm.charge FOR EACH ROW EXECUTE FUNCTION audit.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pm.payment FOR EACH ROW EXECUTE FUNCTION audit.append_only();
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON pm.invoice FOR EACH ROW EXECUTE FUNCTION audit.row_changed('finance.invoice', 'invoice');
CREATE TRIGGER audited AFTER INSERT ON pm.charge FOR EACH ROW EXECUTE FUNCTION audit.row_changed('finance.charge', 'charge');
CREATE TRIGGER audited AFTER INSERT ON pm.payment FOR EACH ROW EXECUTE FUNCTION audit.row_changed('finance.payment', 'payment');

ALTER TABLE pm.invoice ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.charge  ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.payment ENABLE ROW LEVEL SECURITY;
ALTER TABLE pm.invoice FORCE ROW LEVEL SECURITY;
ALTER TABLE pm.charge  FORCE ROW LEVEL SECURITY;
ALTER TABLE pm.payment FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON pm.invoice, pm.charge, pm.payment TO pm_app;
GRANT UPDATE (status, remark) ON pm.invoice TO pm_app;

CREATE POLICY invoice_select ON pm.invoice FOR SELECT TO pm_app
  USING ((SELECT sec.can('finance.invoice', 'view')) AND ((SELECT sec.scope('finance.invoice')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY invoice_insert ON pm.invoice FOR INSERT TO pm_app
  WITH CHECK ((SELECT sec.can('finance.invoice', 'add')) AND owner_id = (SELECT sec.uid())
    AND EXISTS (SELECT 1 FROM pm.patient p WHERE p.id = patient_id));
CREATE POLICY invoice_update ON pm.invoice FOR UPDATE TO pm_app
  USING ((SELECT sec.can('finance.invoice', 'edit')) AND ((SELECT sec.scope('finance.invoice')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY charge_select ON pm.charge FOR SELECT TO pm_app
  USING ((SELECT sec.can('finance.charge', 'view')) AND ((SELECT sec.scope('finance.charge')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY charge_insert ON pm.charge FOR INSERT TO pm_app
  WITH CHECK ((SELECT sec.can('finance.charge', 'add')) AND owner_id = (SELECT sec.uid())
    AND EXISTS (SELECT 1 FROM pm.invoice i WHERE i.id = invoice_id AND i.patient_id = charge.patient_id)
    AND (session_id IS NULL OR EXISTS (SELECT 1 FROM pm.session s WHERE s.id = session_id AND s.patient_id = charge.patient_id)));
CREATE POLICY payment_select ON pm.payment FOR SELECT TO pm_app
  USING ((SELECT sec.can('finance.payment', 'view')) AND ((SELECT sec.scope('finance.payment')) = 'all'
    OR owner_id = (SELECT sec.uid()) OR EXISTS (SELECT 1 FROM pm.my_patient m WHERE m.id = patient_id)));
CREATE POLICY payment_insert ON pm.payment FOR INSERT TO pm_app
  WITH CHECK ((SELECT sec.can('finance.payment', 'add')) AND owner_id = (SELECT sec.uid())
    AND EXISTS (SELECT 1 FROM pm.invoice i WHERE i.id = invoice_id AND i.patient_id = payment.patient_id));
