package ready

import "practicectl/server/store"

// checks is the list of what must hold before users are let in.
func checks(st *store.Store) []Check {
	return []Check{
		{"database", st.Ping},
		{"schema", st.SchemaMatches},
		{"row-security", st.RowSecurityHolds},
	}
}
