package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/backup"
	"practicectl/backup/heal"
	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/config"
	"practicectl/internal/objstore"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// mainStore is what messages call the store of the [backup] section itself.
const mainStore = "main"

// sectionOf makes a copy a section that the store is opened with.
func sectionOf(c config.Copy, l paths.Layout) config.Backup {
	b := config.Backup{Store: c.Store, Endpoint: c.Endpoint, Region: c.Region, Credentials: c.Credentials, Limit: c.Limit, LimitHours: c.LimitHours}
	if b.Credentials != "" && !filepath.IsAbs(b.Credentials) {
		b.Credentials = filepath.Join(l.Cred(), b.Credentials)
	}
	return b
}

// copyNamed finds a copy of the configuration. Error kind: NotFound.
func copyNamed(c *config.File, name string) (config.Copy, error) {
	i := slices.IndexFunc(c.Backup.Copies, func(one config.Copy) bool { return one.Name == name })
	if i < 0 {
		return config.Copy{}, uerr.New(uerr.NotFound, "find the copy", name, errors.New("the configuration has no [[backup.copy]] of that name"), "practicectl config show")
	}
	return c.Backup.Copies[i], nil
}

// copyNames completes names of copies.
func (a *app) copyNames() []string {
	l, err := paths.New(a.global.prefix, a.global.instance)
	if err != nil {
		return nil
	}
	c, err := config.Load(cmp.Or(a.global.config, l.Config()))
	if err != nil {
		return nil
	}
	var names []string
	for _, one := range c.Backup.Copies {
		names = append(names, one.Name)
	}
	return names
}

// chosenCopies are the copies of these names; all of them without one. Error kind: NotFound.
func chosenCopies(c *config.File, names []string) ([]config.Copy, error) {
	if len(c.Backup.Copies) == 0 {
		return nil, uerr.New(uerr.NotFound, "find the copies", "", errors.New("the configuration has no [[backup.copy]]"), "add one with a name and a store, then: practicectl backup copy")
	}
	if len(names) == 0 {
		return c.Backup.Copies, nil
	}
	var out []config.Copy
	for _, name := range names {
		one, err := copyNamed(c, name)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// copyFacts is what was found out about the store of a copy when it was first used.
type copyFacts struct {
	Store      string `json:"store"`
	ObjectLock bool   `json:"object_lock"`
}

func factsFile(l paths.Layout) string { return filepath.Join(l.Cred(), "backup-copies.json") }

func readFacts(l paths.Layout) (map[string]copyFacts, error) {
	facts := map[string]copyFacts{}
	data, err := os.ReadFile(factsFile(l))
	if errors.Is(err, fs.ErrNotExist) {
		return facts, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &facts)
	}
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read what is known about the copies in", factsFile(l), err, "remove the file; the stores are tried again")
	}
	return facts, nil
}

// copySide opens the store of a copy. The first time it is tried out, and whether it locks objects is remembered, so that nobody can
// take that away unseen.
func (r *run) copySide(ctx context.Context, l paths.Layout, c config.Copy) (heal.Side, error) {
	side := heal.Side{Name: c.Name, Cache: filepath.Join(l.BackupCache(), "copy-"+c.Name)}
	facts, err := readFacts(l)
	if err != nil {
		return side, err
	}
	known, ok := facts[c.Name]
	ok = ok && known.Store == c.Store
	if side.Store, err = r.openStore(sectionOf(c, l), !ok && !r.dryRun()); err != nil {
		return side, err
	}
	if ok || r.dryRun() {
		side.Locks = known.ObjectLock
		return side, nil
	}
	found, err := side.Store.Probe(ctx)
	if err != nil {
		return side, objstore.Wrap("try the store", side.Store, "", err)
	}
	if !found.IfAbsent {
		return side, uerr.New(uerr.Precond, "use the store", side.Store.String(), errors.New("it overwrites objects even when it is asked not to"), "choose a store with conditional writes (If-None-Match)")
	}
	side.Locks = found.ObjectLock
	facts[c.Name] = copyFacts{c.Store, found.ObjectLock}
	data, err := json.MarshalIndent(facts, "", "  ")
	if err == nil {
		err = atomicfile.WriteBytes(factsFile(l), 0o600, append(data, '\n'))
	}
	if err != nil {
		return side, uerr.New(uerr.Precond, "note what was found about the copy in", factsFile(l), err, "")
	}
	return side, nil
}

// copyResult is how the copy to one store went.
type copyResult struct {
	Name    string       `json:"name"`
	Store   string       `json:"store"`
	Objects int          `json:"objects"` // stored there
	Bytes   int64        `json:"bytes"`
	Error   string       `json:"error,omitempty"`
	Report  *heal.Report `json:"report,omitempty"`
}

// copySnapshots brings the copies up to date with the repository. One that fails does not stop the others. The error has the kind
// that all failures have, else Incomplete.
func (r *run) copySnapshots(ctx context.Context, repository *backup.Repo, copies []config.Copy) ([]copyResult, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	from := heal.Side{Name: mainStore, Store: repository.Store}
	results, errs := []copyResult{}, map[string]error{}
	for _, c := range copies {
		res := copyResult{Name: c.Name, Store: c.Store}
		to, err := r.copySide(ctx, l, c)
		if err == nil {
			var rep heal.Report
			rep, err = heal.Copy(ctx, repository, from, to, heal.Options{Now: r.now, Plan: r.dryRun()}, r.progress)
			res.Report = &rep
			for _, s := range rep.Sides {
				n, bytes := s.Stored()
				res.Objects, res.Bytes = res.Objects+n, res.Bytes+bytes
			}
		}
		if err != nil {
			res.Error, errs[c.Name] = err.Error(), err
		}
		if !r.dryRun() {
			r.remember("copy-"+c.Name, fmt.Sprintf("%d objects, %s stored", res.Objects, size(res.Bytes)), err)
		}
		results = append(results, res)
	}
	return results, copiesFailed(errs)
}

func copiesFailed(errs map[string]error) error {
	if len(errs) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(errs))
	first := errs[names[0]]
	kind := uerr.KindOf(first)
	for _, err := range errs {
		if uerr.KindOf(err) != kind {
			kind = uerr.Incomplete
			break
		}
	}
	return uerr.New(kind, "the snapshots are in the main store, but not complete in the copy", strings.Join(names, ", "), first, cmp.Or(uerr.HintOf(first), "practicectl backup copy"))
}

// whereSnapshots tells in which stores each snapshot is, by its key. A copy that does not answer is in away, with the reason.
func (r *run) whereSnapshots(ctx context.Context, c *config.File, repository *backup.Repo) (where map[string][]string, away map[string]string, err error) {
	l, err := r.layout()
	if err != nil {
		return nil, nil, err
	}
	where, away = map[string][]string{}, map[string]string{}
	note := func(name string, st objstore.Store) error {
		for info, err := range st.List(ctx, repo.SnapshotPrefix) {
			if err != nil {
				return err
			}
			where[info.Key] = append(where[info.Key], name)
		}
		return nil
	}
	if err := note(mainStore, repository.Store); err != nil {
		return nil, nil, repo.StoreError("list", repository.Store, "", err)
	}
	for _, one := range c.Backup.Copies {
		st, err := r.openStore(sectionOf(one, l), false)
		if err == nil {
			err = note(one.Name, st)
		}
		if err != nil {
			away[one.Name] = err.Error()
		}
	}
	return where, away, nil
}

// openEither opens the repository for a restore: the main store, or the copy that is named; where it does not answer or is not
// whole, another one. All of them are read where the first has something damaged.
func (r *run) openEither(ctx context.Context, o restoreOptions) (*backup.Repo, error) {
	if o.store != "" {
		return r.openOf(ctx, o.storeFlags, o.identityFlags, o.ownerKey)
	}
	c, err := r.config()
	if err != nil {
		return nil, err
	}
	order := []string{o.name}
	for _, name := range append([]string{""}, namesOf(c)...) {
		if name != o.name {
			order = append(order, name)
		}
	}
	var chosen *backup.Repo
	var others []objstore.Store
	var first error
	for _, name := range order {
		s := o.storeFlags
		s.name = name
		switch opened, err := r.openOf(ctx, s, o.identityFlags, o.ownerKey); {
		case err == nil && chosen == nil:
			chosen = opened
		case err == nil:
			others = append(others, opened.Store)
		case !slices.Contains([]uerr.Kind{uerr.Unreachable, uerr.NotFound, uerr.Integrity, uerr.Auth}, uerr.KindOf(err)):
			return nil, err
		default:
			first = cmp.Or(first, err)
			if len(order) > 1 {
				r.progress.Warn("%s cannot be read from: %v", cmp.Or(name, "the main store"), err)
			}
		}
	}
	if chosen == nil {
		return nil, first
	}
	chosen.Others = others
	chosen.Instead = func(key string, other objstore.Store, why error) {
		r.progress.Warn("%s was read from %s: %v; mend it with: practicectl backup heal", key, other, why)
	}
	return chosen, nil
}

func namesOf(c *config.File) []string {
	names := make([]string, len(c.Backup.Copies))
	for i, one := range c.Backup.Copies {
		names[i] = one.Name
	}
	return names
}
