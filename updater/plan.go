package updater

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

// Plan is one update, decided and not yet begun. The same plan is shown, staged and applied.
type Plan struct {
	Transition Transition `json:"transition"`
	Severity   string     `json:"severity"` // "security", "fix" or "feature"
	Kind       string     `json:"kind"`     // "major" or "minor"
	Released   time.Time  `json:"released"`
	Notes      string     `json:"notes"` // the complete release notes
	Why        string     `json:"why"`   // one sentence
	Mandatory  bool       `json:"mandatory"`
	// MandatoryAfter is when it becomes mandatory, if ever.
	MandatoryAfter *time.Time `json:"mandatory_after,omitempty"`
	// NotBefore is the end of the notice that the users were given; zero when none is needed.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Then is the version that this one is a stepping stone to; empty when it is the last.
	Then     string           `json:"then,omitempty"`
	Targets  []release.Target `json:"targets"`
	Download int64            `json:"download"` // bytes to fetch
	Disk     int64            `json:"disk"`     // bytes after unpacking
	CopiesDB bool             `json:"copies_db"`
	Database int64            `json:"database"` // bytes of the database, when it is copied
	Skipped  []Skipped        `json:"skipped,omitempty"`
	// Stale says that the signed metadata have expired within the allowed grace; Expires is when they did or will.
	Stale   bool      `json:"stale"`
	Expires time.Time `json:"expires,omitzero"`

	schemaMin int // the oldest schema that the release migrates from
}

// Skipped is a version that is not tried again, and why.
type Skipped struct {
	Version string `json:"version"`
	Why     string `json:"why"`
}

// Wish narrows what Check looks for.
type Wish struct {
	Version    string // a version somebody named; empty: the newest that this machine may have
	Unattended bool   // nobody is looking: versions that failed here and deferred major releases are left out
	DryRun     bool   // the users are not told yet
}

// Check asks the source and returns what to do, or nil when this machine is current. It changes nothing but the trusted
// metadata and the notice to the users. Error kinds: NotFound (nothing installed), Precond (the version cannot be had),
// and those of the source.
func (u *Updater) Check(ctx context.Context, w Wish) (*Plan, error) {
	live, err := u.Installed()
	if err != nil {
		return nil, err
	}
	history, err := u.History()
	if err != nil {
		return nil, err
	}
	cat, err := u.o.Source.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	host := release.Host{ID: u.o.HostID, Component: leading(live), Installed: oldest(live), Now: cat.Now,
		Unattended: w.Unattended, Want: w.Version}
	skip := unwanted(history)
	host.Failed = slices.Sorted(maps.Keys(skip))
	choice, err := cat.Index.Choose(host)
	var refusal *release.Refusal
	switch {
	case errors.Is(err, release.ErrCurrent):
		return nil, nil //nolint:nilnil // documented: nothing to do is not an error
	case errors.As(err, &refusal):
		return nil, uerr.New(uerr.Precond, "update to", w.Version, errors.New(refusal.Why), "see what can be had: practicectl update check")
	case err != nil:
		return nil, err
	}
	pl, err := u.plan(ctx, cat, choice, live)
	if err != nil {
		return nil, err
	}
	for _, v := range host.Failed {
		pl.Skipped = append(pl.Skipped, Skipped{v, skip[v]})
	}
	return pl, u.notice(pl, choice.Release.NoticeDays, w.DryRun)
}

// plan joins the choice with what is installed here.
func (u *Updater) plan(ctx context.Context, cat *trust.Catalog, c release.Choice, live map[string]string) (*Plan, error) {
	r := c.Release
	t := Transition{Action: ActionUpdate, From: oldest(live), To: r.Version, Components: live,
		SchemaFrom: r.DB.SchemaFrom, SchemaTo: r.DB.SchemaTo, BackwardCompatible: r.DB.BackwardCompatible}
	if t.hasServer() {
		// A stopped database answers later, when it must. Until then the plan shows what the release says.
		if s, err := u.o.Hooks.Schema(ctx, live[release.Server]); err == nil {
			t.SchemaFrom = s.Applied
		}
	}
	if c.Downgrade {
		t.Action = ActionRollback
	}
	pl := &Plan{schemaMin: r.DB.SchemaFrom, Severity: r.Severity, Kind: r.Kind, Released: r.Date, Notes: r.Notes, Why: c.Why, Mandatory: c.Mandatory,
		MandatoryAfter: r.MandatoryAfter, Stale: cat.Stale, Expires: cat.Expires}
	if c.Stone {
		pl.Then = c.Final
	}
	for _, name := range t.Names() {
		if release.CompareVersions(live[name], r.Version) > 0 && !c.Downgrade {
			return nil, uerr.New(uerr.Precond, "update to", r.Version, fmt.Errorf("%s is already at %s", name, live[name]), "practicectl component list")
		}
		if rev, revoked := cat.Index.RevocationOf(name, r.Version); revoked {
			return nil, uerr.New(uerr.Precond, "update to", r.Version, fmt.Errorf("%s of it was revoked: %s", name, rev.Reason), "practicectl update check")
		}
		target, err := cat.Find(name, r.Version, u.o.OS, u.o.Arch)
		if err != nil {
			return nil, err
		}
		pl.Targets = append(pl.Targets, target)
		if !u.slots(name).Has(r.Version) {
			pl.Download += target.Length
			pl.Disk += target.Size
		}
	}
	pl.Transition = t
	u.sizeUp(pl)
	return pl, nil
}

// sizeUp says in pl whether the database is copied and how large it is.
func (u *Updater) sizeUp(pl *Plan) {
	pl.CopiesDB, pl.Database = pl.Transition.needsCopy(), 0
	if pl.CopiesDB {
		pl.Database, _ = treeSize(u.o.PGData) // for people; preflight measures for itself
	}
}

// leading returns the component that stands for the product on this machine.
func leading(live map[string]string) string {
	for _, name := range []string{release.Server, release.Client, release.Relay, release.Practicectl} {
		if live[name] != "" {
			return name
		}
	}
	return slices.Sorted(maps.Keys(live))[0]
}
