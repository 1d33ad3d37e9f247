package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/backup/retain"
	"practicectl/internal/config"
	"practicectl/internal/uerr"
)

type backupPruneOptions struct {
	storeFlags
	accept []string
	drop   []string
}

// pruned is what became, or would become, of one store.
type pruned struct {
	Name   string              `json:"name"`
	Store  string              `json:"store"`
	DryRun bool                `json:"dry_run,omitempty"`
	Plan   *backup.PrunePlan   `json:"plan"`
	Report *backup.PruneReport `json:"report,omitempty"`
}

func (a *app) backupPruneCmd() *cobra.Command {
	var o backupPruneOptions
	return a.leaf(leaf{
		Use: "prune", Short: "Forget old snapshots and free what nobody needs",
		Long: `Forgets the snapshots outside of the retention in [backup.keep]: the first one of each of the last 14 days, 8 weeks and 24
months is kept, with everything younger than a week, locked or held. Then it frees what no snapshot needs any more, in
two steps: what it finds today is put on a signed list and is removed by a run a week later, when it is still not needed.
It needs no key that opens anything. --dry-run shows the plan and its reasons.

Nothing is forgotten when the newest snapshots look wrong: much smaller than those that would go, many within a day, dated in
the future, or too old. That is exit code 18, with the reason; look, then --accept it. A backup can run at the same time.

Where this host may not delete, which is best, it only writes the list. Run the command elsewhere with credentials that
may: --store and --credentials-file. The copies in the configuration are pruned as well.`,
		Examples: []string{
			"practicectl backup prune --dry-run",
			"practicectl backup prune --yes",
			"practicectl backup prune --store s3://clinic/main --endpoint https://s3.example.org --credentials-file admin.toml --yes",
		},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.Declined, uerr.NotFound, uerr.Locked, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.Fenced, uerr.LossGuard, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			o.bind(f)
			o.bindName(f)
			f.StringSliceVar(&o.accept, "accept", nil, "a doubt that you looked into: "+fmt.Sprint(retain.DoubtNames))
			f.StringArrayVar(&o.drop, "drop", nil, "give up this object among the snapshots, which cannot be trusted or is broken")
		},
		Enums: map[string][]string{"accept": retain.DoubtNames},
		Run:   func(ctx context.Context, r *run, _ []string) error { return r.backupPrune(ctx, o) },
	})
}

func (r *run) backupPrune(ctx context.Context, o backupPruneOptions) error {
	keep, names := config.Default().Backup.Keep, []string{o.name}
	if o.store == "" {
		c, err := r.config()
		if err != nil {
			return err
		}
		keep = c.Backup.Keep
		if o.name == "" {
			for _, one := range c.Backup.Copies {
				names = append(names, one.Name)
			}
		}
		var release func()
		if ctx, release, err = r.lock(ctx, "prune", "backup prune"); err != nil {
			return err
		}
		defer release()
	}
	res, errs := []pruned{}, map[string]error{}
	for _, name := range names {
		one := o.storeFlags
		one.name = name
		p, err := r.pruneStore(ctx, one, r.pruneOptions(keep, o))
		if name == "" {
			name = mainStore
		}
		if p.Plan != nil {
			p.Name = name
			res = append(res, p)
			if err == nil {
				err = p.Plan.Refusal()
			}
		}
		if err != nil {
			errs[name] = err
		}
	}
	problem := pruneFailed(errs)
	if o.store == "" && !r.dryRun() {
		r.remember("prune", fmt.Sprintf("%d stores pruned", len(res)), problem)
	}
	if len(res) > 0 {
		if err := r.result(res, func(w io.Writer) { showPruned(w, res) }); err != nil {
			return err
		}
	}
	return problem
}

// pruneFailed is the error of the only store, or one that names those where it failed.
func pruneFailed(errs map[string]error) error {
	if err, ok := errs[mainStore]; ok || len(errs) == 0 {
		return err
	}
	return copiesFailed(errs)
}

func (r *run) pruneOptions(keep config.Keep, o backupPruneOptions) backup.PruneOptions {
	const day = 24 * time.Hour
	return backup.PruneOptions{
		Policy: retain.Policy{Daily: keep.Daily, Weekly: keep.Weekly, Monthly: keep.Monthly, Least: time.Duration(keep.LeastDays) * day},
		Log:    time.Duration(keep.LogDays) * day, Accept: o.accept, Drop: o.drop, Now: r.now,
	}
}

// pruneStore prunes one store: the plan is made, shown when somebody has to be asked, and executed as it is.
func (r *run) pruneStore(ctx context.Context, s storeFlags, o backup.PruneOptions) (pruned, error) {
	repository, err := r.openForPruning(ctx, s)
	if err != nil {
		return pruned{}, err
	}
	p := pruned{Store: repository.Store.String(), DryRun: r.dryRun()}
	if p.Plan, err = backup.PlanPrune(ctx, repository, o); err != nil || r.dryRun() {
		return p, err
	}
	if n, m := len(p.Plan.Expire), len(p.Plan.Remove); n+m > 0 || len(o.Drop) > 0 {
		question := fmt.Sprintf("Forget %d snapshots and remove %d objects (%s) from %s?", n, m, size(p.Plan.Freed), p.Store)
		if err := r.confirm(moderate, question, "", ""); err != nil {
			return p, err
		}
	}
	rep, err := p.Plan.Run(ctx, r.progress)
	p.Report = &rep
	return p, err
}

// openForPruning opens a repository with this host's keys when it is the configured one, or a copy of it.
func (r *run) openForPruning(ctx context.Context, s storeFlags) (*backup.Repo, error) {
	b, err := s.section(r)
	if err != nil {
		return nil, err
	}
	st, err := r.openStore(b, false)
	if err != nil {
		return nil, err
	}
	var k backup.Keys
	if s.store == "" {
		if k, err = r.hostKeys(); err != nil {
			return nil, err
		}
	}
	return backup.Open(ctx, st, k)
}

func showPruned(w io.Writer, res []pruned) {
	for i, p := range res {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", p.Name, p.Store)
		rows := [][]string{{"SNAPSHOT", "STAYS", "WHY"}}
		for _, v := range p.Plan.Snapshots {
			if stays := map[bool]string{true: "yes", false: "no"}[v.Keep]; p.DryRun || !v.Keep {
				rows = append(rows, []string{v.Key, stays, v.Why})
			}
		}
		if len(rows) > 1 {
			table(w, rows)
		}
		for _, u := range p.Plan.Unproved {
			fmt.Fprintf(w, "NOT TRUSTWORTHY: %s: %s\n", u.Key, u.Problem)
		}
		for _, d := range p.Plan.Doubts {
			fmt.Fprintf(w, "DOUBT (%s): %s\n", d.Name, d.Why)
		}
		table(w, pruneFigures(p))
	}
}

// pruneFigures are the numbers of one store, in the order of the work.
func pruneFigures(p pruned) [][]string {
	if p.Report == nil {
		rows := [][]string{{"would forget", fmt.Sprintf("%d snapshots", len(p.Plan.Expire))},
			{"would remove", fmt.Sprintf("%d objects, %s", len(p.Plan.Remove), size(p.Plan.Freed))},
			{"would put on a list", fmt.Sprintf("%d objects, %s", len(p.Plan.Found), size(p.Plan.Bytes))}}
		for _, l := range p.Plan.Lists {
			rows = append(rows, []string{"list", fmt.Sprintf("%d objects, due %s", l.Objects, l.Due.UTC().Format(time.DateOnly))})
		}
		return append(rows, waiting(p)...)
	}
	rows := [][]string{{"forgotten", fmt.Sprintf("%d snapshots", p.Report.Forgotten)},
		{"removed", fmt.Sprintf("%d objects, %s", p.Report.Removed, size(p.Report.Freed))},
		{"put on a list", fmt.Sprintf("%d objects", p.Report.Listed)}}
	if p.Report.Refused > 0 {
		rows = append(rows, []string{"kept by the store", fmt.Sprintf("%d objects: locked, or these credentials may not delete", p.Report.Refused)})
	}
	return append(rows, waiting(p)...)
}

func waiting(p pruned) [][]string {
	if p.Plan.Waits == "" {
		return nil
	}
	return [][]string{{"nothing is removed", p.Plan.Waits}}
}
