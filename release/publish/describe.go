package publish

import "practicectl/release"

// Describe gives the one-line summary of a component of the product and the components it needs.
func Describe(name string) (summary string, requires []string) {
	switch name {
	case release.Practicectl:
		return "installs, backs up, restores and updates a practice", nil
	case release.Server:
		return "core server: accounts, records, appointments, invoices", []string{release.Postgres}
	case release.Client:
		return "workstation program: modules and offline charting", nil
	case release.Relay:
		return "takes appointment requests from the internet", nil
	case release.Postgres:
		return "PostgreSQL database", nil
	case release.FrontDesk:
		return "front desk: patients and appointments", nil
	case release.Clinical:
		return "clinical: sessions and notes", []string{release.FrontDesk}
	case release.Accounting:
		return "accounting: invoices and payments", []string{release.FrontDesk}
	case release.Admin:
		return "administration: users and settings", nil
	case release.Reports:
		return "reports and statistics", []string{release.FrontDesk}
	}
	return "", nil
}
