package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/heal"
	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// healResult is what was found and done between the main store and one copy.
type healResult struct {
	Copy   string `json:"copy"`
	DryRun bool   `json:"dry_run"`
	heal.Report
}

func (a *app) backupHealCmd() *cobra.Command {
	var quick bool
	return a.leaf(leaf{
		Use: "heal [NAME...]", Short: "Mend the main store and its copies from each other",
		Long: `Reads everything in the main store and in each copy, compares it with its name or signature, and stores what one has lost or
has damaged from the other, in both directions. It needs no key. What is whole is never overwritten; in a store that keeps
versions the mended object becomes the newest one. With --dry-run it reads and stores nothing.

What neither has whole is a problem with exit code 13, and the next "backup run" stores it again if it still exists.`,
		Examples: []string{"practicectl backup heal", "practicectl backup heal nas --dry-run --json"},
		Args:     cobra.ArbitraryArgs,
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.copyNames(), cobra.ShellCompDirectiveNoFileComp
		},
		Exits: append([]uerr.Kind{uerr.LossGuard}, backupRunExits...),
		Flags: func(f *pflag.FlagSet) {
			f.BoolVar(&quick, "quick", false, "compare names and sizes only, without reading")
		},
		Run: func(ctx context.Context, r *run, args []string) error { return r.backupHeal(ctx, args, quick) },
	})
}

func (r *run) backupHeal(ctx context.Context, names []string, quick bool) error {
	c, err := r.config()
	if err != nil {
		return err
	}
	l, err := r.layout()
	if err != nil {
		return err
	}
	copies, err := chosenCopies(c, names)
	if err != nil {
		return err
	}
	ctx, release, err := r.lock(ctx, "backup", "backup heal")
	if err != nil {
		return err
	}
	defer release()
	results, errs := []healResult{}, map[string]error{}
	for _, one := range copies {
		rep, err := r.healWith(ctx, l, one, heal.Options{Read: !quick, Plan: r.dryRun(), Expired: r.expired(c.Backup.Keep), Now: r.now})
		if err != nil {
			errs[one.Name] = err
		}
		if rep != nil {
			results = append(results, healResult{one.Name, r.dryRun(), *rep})
		}
	}
	problem := copiesFailed(errs)
	if !quick && !r.dryRun() {
		r.remember("heal", fmt.Sprintf("%d copies compared and mended", len(results)), problem)
	}
	if err := r.result(results, func(w io.Writer) { showHeal(w, results) }); err != nil {
		return err
	}
	return problem
}

func (r *run) healWith(ctx context.Context, l paths.Layout, c config.Copy, o heal.Options) (*heal.Report, error) {
	b, err := storeFlags{}.section(r)
	if err != nil {
		return nil, err
	}
	keys, err := r.hostKeys()
	if err != nil {
		return nil, err
	}
	a := heal.Side{Name: mainStore, Locks: keys.Pin.ObjectLock, Cache: l.BackupCache()}
	if a.Store, err = r.openStore(b, false); err != nil {
		return nil, err
	}
	to, err := r.copySide(ctx, l, c)
	if err != nil {
		return nil, err
	}
	repository, err := heal.Open(ctx, keys, a.Store, to.Store)
	if err != nil {
		return nil, err
	}
	rep, err := heal.Heal(ctx, repository, a, to, o, r.progress)
	return &rep, err
}

// expired names the snapshots that the retention does not keep, as backup prune would see them.
func (r *run) expired(keep config.Keep) func(all []repo.Header) map[string]bool {
	return func(all []repo.Header) map[string]bool {
		var candidates []retain.Candidate
		for _, h := range all {
			candidates = append(candidates, retain.Candidate{Key: h.ID, ID: h.ID, Host: h.Host, Created: h.Created, Bytes: h.Bytes, Database: h.Database != nil, Locked: h.LockedUntil})
		}
		out := map[string]bool{}
		verdicts, _ := r.pruneOptions(keep, backupPruneOptions{}).Policy.Judge(candidates, r.now())
		for _, v := range verdicts {
			out[v.Key] = !v.Keep
		}
		return out
	}
}

func showHeal(w io.Writer, results []healResult) {
	rows := [][]string{{"STORE", "KIND", "WHOLE", "MISSING", "DAMAGED", "MENDED", ""}}
	for _, res := range results {
		for _, s := range res.Sides {
			name := s.Name
			if name == mainStore {
				name += " (with " + res.Copy + ")"
			}
			for _, c := range s.Counts {
				rows = append(rows, []string{name, string(c.Kind), fmt.Sprint(c.Checked), fmt.Sprint(c.Missing), fmt.Sprint(c.Damaged), fmt.Sprint(c.Stored), size(c.Bytes)})
			}
		}
	}
	table(w, rows)
	for _, res := range results {
		for _, p := range res.Problems {
			fmt.Fprintln(w, "problem:", strings.ReplaceAll(p, "\n", "; "))
		}
	}
}
