package authz

// Feature is a thing that groups grant actions on.
type Feature struct {
	Key    string
	Module string // client module that it belongs to; "": none needed
	Class  string // "record": rows have owners; "practice": all or nothing
}

// Features is the registry; sec.feature holds the same rows.
func Features() []Feature {
	return []Feature{
		{Patients, "", "record"},
		{Shares, "", "record"},
		{Documents, "", "record"},
		{Appointments, "", "record"},
		{Sessions, "", "record"},
		{Notes, "clinical", "record"},
		{Invoices, "accounting", "record"},
		{Charges, "accounting", "record"},
		{Payments, "accounting", "record"},
		{Statistics, "reports", "record"},
		{Accounts, "admin", "practice"},
		{Facilities, "admin", "practice"},
		{Settings, "admin", "practice"},
		{AuditLog, "admin", "practice"},
	}
}

// DefaultRole is the role of an account that nobody chose one for.
const DefaultRole = "member"

// Roles is the keys of the built-in roles; what they reach are rows of sec.role_scope.
func Roles() []string {
	return []string{"group_admin", "member", "secretariat", "owner", "manager", "staff_administrator", "records_custodian", "supervisor",
		"therapist", "biller", "scheduler"}
}
