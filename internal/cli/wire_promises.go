package cli

import (
	"practicectl/backup/proof"
	"practicectl/internal/config"
	"practicectl/server/invariant"
)

// invariants is what the core server promises about its data, in the form in which a copy is asked.
func (r *run) invariants() proof.Invariants {
	inv := proof.Invariants{Database: config.Default().Database.Name, Schema: invariant.Schema}
	if c, err := r.config(); err == nil {
		inv.Database = c.Database.Name
	}
	for _, c := range invariant.All() {
		inv.Checks = append(inv.Checks, proof.Check(c))
	}
	return inv
}
