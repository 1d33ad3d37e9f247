// Package invariant is what the practice promises about its data, as questions that a drill asks a restored copy. It is data:
// it imports nothing, so that programs which never serve a request can carry it.
package invariant

// Schema tells the number of the newest migration in a database.
const Schema = `SELECT coalesce(max(version_id), 0)::bigint FROM sec.schema_version WHERE is_applied`

// Check is one promise.
type Check struct {
	Name  string // stable
	Says  string // the promise, for people
	At    string // what it is about
	Count string // SQL: how many of them there are
	SQL   string // SQL: one text for each violation; it names rows by their ids and quotes nothing of patients. Empty: only counted
	Grows bool   // rows are added and never taken away
	Since int64  // migration that made it true
}

// ours are the schemas of the practice.
const ours = `n.nspname IN ('sec', 'pm', 'audit')`

// All is every promise, in the order of a report.
func All() []Check {
	return []Check{
		{Name: "row-security", Says: "row security is forced on every table of patients", At: "tables", Since: 9,
			Count: `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND ` + ours,
			SQL: `SELECT format('%s.%s has none', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE c.relkind IN ('r', 'p') AND ((n.nspname IN ('pm', 'audit') AND NOT (c.relrowsecurity AND c.relforcerowsecurity))
				  OR (n.nspname = 'sec' AND NOT c.relrowsecurity AND c.relname NOT IN ('schema_version', 'schema_floor')))`},
		{Name: "roles", Says: "no role that works for people passes row security by", At: "roles", Since: 1,
			Count: `SELECT count(*) FROM pg_roles WHERE rolname LIKE 'pm\_%'`,
			SQL: `SELECT format('%s does', rolname) FROM pg_roles
				WHERE rolname IN ('pm_owner', 'pm_app', 'pm_server', 'pm_sealer', 'pm_auditor') AND (rolsuper OR rolbypassrls)
				UNION ALL SELECT format('%s is missing', r) FROM unnest(ARRAY['pm_owner', 'pm_app', 'pm_server']) r WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)`},
		{Name: "constraints", Says: "every constraint holds, every trigger is on, every index is complete", At: "constraints", Since: 1,
			Count: `SELECT count(*) FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE ` + ours,
			SQL: `SELECT format('the constraint %s of %s was never validated', k.conname, k.conrelid::regclass) FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
				WHERE NOT k.convalidated AND ` + ours + `
				UNION ALL SELECT format('the trigger %s of %s is off', t.tgname, t.tgrelid::regclass) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
				  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgenabled = 'D' AND ` + ours + `
				UNION ALL SELECT format('the index %s is not valid', i.indexrelid::regclass) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
				  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT (i.indisvalid AND i.indisready) AND ` + ours},
		{Name: "log-entries", Says: "the log of who did what only grows, and nobody can change it", At: "entries", Since: 3, Grows: true,
			Count: `SELECT count(*) FROM audit.entry`,
			SQL: `SELECT format('%s can be changed: its guard %s is missing', x.relation, x.guard)
				FROM (VALUES ('audit.entry', 'append_only'), ('audit.entry', 'append_only_all')) x (relation, guard)
				WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = x.relation::regclass AND t.tgname = x.guard AND t.tgenabled <> 'D')
				UNION ALL SELECT format('entry %s has no salt', id) FROM audit.entry WHERE octet_length(salt) < 16`},
		{Name: "sessions", Says: "every session has its patient", At: "sessions", Since: 7,
			Count: `SELECT count(*) FROM pm.session`,
			SQL:   `SELECT format('session %s has none', s.id) FROM pm.session s WHERE NOT EXISTS (SELECT FROM pm.patient p WHERE p.id = s.patient_id)`},
		{Name: "notes", Says: "every note is that of its session's patient, with all its versions", At: "notes", Since: 7,
			Count: `SELECT count(*) FROM pm.session_note`,
			SQL: `SELECT format('the note of session %s is another patient''s', n.session_id) FROM pm.session_note n JOIN pm.session s ON s.id = n.session_id WHERE s.patient_id <> n.patient_id
				UNION ALL SELECT format('the note of session %s lacks its newest version', n.session_id) FROM pm.session_note n
				  WHERE n.head IS NOT NULL AND NOT EXISTS (SELECT FROM pm.note_version v WHERE v.id = n.head AND v.session_id = n.session_id)`},
		{Name: "note-versions", Says: "every version of a note is what was written: its text has its SHA-256", At: "versions", Since: 7, Grows: true,
			Count: `SELECT count(*) FROM pm.note_version`,
			SQL:   `SELECT format('version %s has not', id) FROM pm.note_version WHERE body_sha256 <> sha256(convert_to(body, 'UTF8'))`},
		{Name: "documents", Says: "every document is what was stored: all its bytes, and their SHA-256", At: "documents", Since: 9,
			Count: `SELECT count(*) FROM pm.document`,
			SQL: `SELECT format('document %s has not', d.id) FROM pm.document d LEFT JOIN LATERAL (
				  SELECT sum(octet_length(c.data)) AS size, count(*) AS pieces, max(c.seq) AS last, sha256(string_agg(c.data, ''::bytea ORDER BY c.seq)) AS sum
				    FROM pm.document_chunk c WHERE c.document_id = d.id) x ON true
				WHERE coalesce(x.size, 0) <> d.size OR coalesce(x.sum, sha256(''::bytea)) <> d.sha256 OR x.pieces > 0 AND x.last <> x.pieces - 1`},
		{Name: "invoice-numbers", Says: "invoice numbers are without gap and without double", At: "invoices", Since: 8, Grows: true,
			Count: `SELECT count(*) FROM pm.invoice`,
			SQL: `SELECT format('account %s in %s: the last number given is %s, there are %s different ones up to %s', coalesce(x.owner, c.account_id), coalesce(x.year, c.year), coalesce(c.last, 0), coalesce(x.n, 0), coalesce(x.top, 0))
				FROM (SELECT owner_id AS owner, split_part(ref_no, '-', 1)::int AS year, count(DISTINCT split_part(ref_no, '-', 2)::bigint) AS n, count(*) AS rows, max(split_part(ref_no, '-', 2)::bigint) AS top
				        FROM pm.invoice GROUP BY 1, 2) x FULL JOIN sec.ref_counter c ON c.account_id = x.owner AND c.year = x.year
				WHERE (x.n, x.rows, x.top) IS DISTINCT FROM (c.last, c.last, c.last)`},
		{Name: "charges", Says: "the charges of every invoice add up to its total, and are its patient's", At: "charges", Since: 8, Grows: true,
			Count: `SELECT count(*) FROM pm.charge`,
			SQL: `SELECT format('invoice %s does not add up', i.id) FROM pm.invoice i LEFT JOIN pm.charge c ON c.invoice_id = i.id AND c.reverses IS NULL
				GROUP BY i.id, i.total_minor HAVING coalesce(sum(c.amount_minor), 0) <> i.total_minor
				UNION ALL SELECT format('charge %s is another patient''s', c.id) FROM pm.charge c JOIN pm.invoice i ON i.id = c.invoice_id WHERE i.patient_id <> c.patient_id`},
		{Name: "payments", Says: "every payment belongs to an invoice of its patient", At: "payments", Since: 8, Grows: true,
			Count: `SELECT count(*) FROM pm.payment`,
			SQL:   `SELECT format('payment %s does not', p.id) FROM pm.payment p LEFT JOIN pm.invoice i ON i.id = p.invoice_id WHERE i.patient_id IS DISTINCT FROM p.patient_id`},
	}
}
