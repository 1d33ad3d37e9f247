-- The features, built-in roles and built-in groups. The Go registry in server/authz says the same; a test compares them.

-- +goose Up
INSERT INTO sec.feature (key, module, scope_class) VALUES
  ('records.patient',      NULL,         'record'),
  ('records.share',        NULL,         'record'),
  ('records.document',     NULL,         'record'),
  ('schedule.appointment', NULL,         'record'),
  ('charting.session',     NULL,         'record'),
  ('charting.note',        'clinical',   'record'),
  ('finance.invoice',      'accounting', 'record'),
  ('finance.charge',       'accounting', 'record'),
  ('finance.payment',      'accounting', 'record'),
  ('reports.statistics',   'reports',    'record'),
  ('admin.account',        'admin',      'practice'),
  ('admin.facility',       'admin',      'practice'),
  ('admin.setting',        'admin',      'practice'),
  ('audit.entry',          'admin',      'practice');

INSERT INTO sec.role (key, builtin) VALUES
  ('group_admin', true), ('member', true), ('secretariat', true), ('owner', true), ('manager', true), ('staff_administrator', true),
  ('records_custodian', true), ('supervisor', true), ('therapist', true), ('biller', true), ('scheduler', true);

-- Scopes. group_admin needs no rows: the functions let it pass. A feature without a row is out of the role's reach,
-- as notes and documents are for the secretariat.
INSERT INTO sec.role_scope (role, feature, scope)
SELECT r, f, 'own_or_shared'
  FROM unnest(ARRAY['member', 'therapist', 'supervisor']) r,
       unnest(ARRAY['records.patient', 'records.share', 'records.document', 'schedule.appointment', 'charting.session', 'charting.note',
                    'finance.invoice', 'finance.charge', 'finance.payment', 'reports.statistics']) f;
INSERT INTO sec.role_scope (role, feature, scope) VALUES
  ('secretariat', 'records.patient', 'all'), ('secretariat', 'records.share', 'own_or_shared'), ('secretariat', 'schedule.appointment', 'all'),
  ('secretariat', 'charting.session', 'all'), ('secretariat', 'finance.invoice', 'all'), ('secretariat', 'finance.charge', 'all'),
  ('secretariat', 'finance.payment', 'all'), ('secretariat', 'reports.statistics', 'all'),
  ('staff_administrator', 'admin.account', 'all'),
  ('records_custodian', 'records.patient', 'all'), ('records_custodian', 'records.document', 'all'), ('records_custodian', 'charting.session', 'all'),
  ('records_custodian', 'charting.note', 'all'),
  ('biller', 'records.patient', 'all'), ('biller', 'charting.session', 'all'), ('biller', 'finance.invoice', 'all'), ('biller', 'finance.charge', 'all'),
  ('biller', 'finance.payment', 'all'),
  ('scheduler', 'records.patient', 'all'), ('scheduler', 'schedule.appointment', 'all');
INSERT INTO sec.role_scope (role, feature, scope)
SELECT r, f, 'all'
  FROM unnest(ARRAY['owner', 'manager']) r,
       unnest(ARRAY['records.patient', 'schedule.appointment', 'charting.session', 'finance.invoice', 'finance.charge', 'finance.payment',
                    'reports.statistics', 'admin.account', 'admin.facility', 'admin.setting', 'audit.entry']) f;

INSERT INTO sec.role_module (role, module) VALUES
  ('group_admin', 'frontdesk'), ('group_admin', 'clinical'), ('group_admin', 'accounting'), ('group_admin', 'admin'), ('group_admin', 'reports'),
  ('member', 'frontdesk'), ('member', 'clinical'), ('member', 'accounting'), ('member', 'reports'),
  ('therapist', 'frontdesk'), ('therapist', 'clinical'), ('therapist', 'accounting'), ('therapist', 'reports'),
  ('supervisor', 'frontdesk'), ('supervisor', 'clinical'), ('supervisor', 'accounting'), ('supervisor', 'reports'),
  ('secretariat', 'frontdesk'), ('secretariat', 'accounting'), ('secretariat', 'reports'),
  ('owner', 'frontdesk'), ('owner', 'accounting'), ('owner', 'admin'), ('owner', 'reports'),
  ('manager', 'frontdesk'), ('manager', 'accounting'), ('manager', 'admin'), ('manager', 'reports'),
  ('staff_administrator', 'admin'), ('records_custodian', 'clinical'),
  ('biller', 'accounting'), ('scheduler', 'frontdesk');

-- One built-in group for each role: what its people may do by default.
INSERT INTO sec.security_group (key, builtin) SELECT key, true FROM sec.role;
INSERT INTO sec.group_perm (group_key, feature, action)
SELECT s.role, s.feature, a FROM sec.role_scope s, unnest(ARRAY['view', 'add', 'edit']) a
 WHERE NOT (s.feature = 'audit.entry' AND a <> 'view')
   AND NOT (s.feature = 'reports.statistics' AND a <> 'view')
   AND NOT (s.feature = 'records.share' AND a = 'edit')
   AND NOT (s.role IN ('secretariat', 'owner', 'manager') AND s.feature = 'charting.session' AND a = 'add')
   AND NOT (s.role IN ('records_custodian', 'biller', 'scheduler') AND s.feature IN ('records.patient', 'records.document', 'charting.session', 'charting.note') AND a <> 'view');
