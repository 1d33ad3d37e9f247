// Package heal keeps two stores of one repository the same, and mends what either has lost or damaged from the other. It needs no
// key: packs and lists are named by their SHA-256, snapshots are signed, and their headers tell the SHA-256 of the log.
//
// In each store the snapshot object comes last, so that it is the one commit point there too. Nothing is written that was not
// proved first, and what is whole is never overwritten.
package heal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Side is one of the stores of a repository.
type Side struct {
	Name  string // for people
	Store objstore.Store
	Locks bool   // it was found to enforce object lock: what is put there is locked
	Cache string // folder for what is known about its locks; used where Locks
}

// Options of a run.
type Options struct {
	// Read reads every object on both sides and proves it; otherwise names and sizes are compared.
	Read bool
	// Expired names those of all snapshots that may be pruned, by id: where one side lacks them they do not come back; nil: none.
	Expired func(all []repo.Header) map[string]bool
	// Plan writes nothing and counts what would be stored.
	Plan bool
	Now  func() time.Time
}

// Kind is what an object is for.
type Kind string

// The kinds of objects.
const (
	Settings Kind = "settings" // root, generations and keyring
	Snapshot Kind = "snapshot"
	Pack     Kind = "pack"
	PackList Kind = "pack list"
	Log      Kind = "log"
	Other    Kind = "other"
)

// Count is what was found and done with the objects of a kind in one store.
type Count struct {
	Kind    Kind  `json:"kind"`
	Checked int   `json:"checked"` // there and whole, as far as it was looked
	Missing int   `json:"missing"`
	Damaged int   `json:"damaged"`
	Stored  int   `json:"stored"` // of the missing and the damaged
	Bytes   int64 `json:"bytes"`  // stored
}

// SideReport is what happened to one store.
type SideReport struct {
	Name   string  `json:"name"`
	Store  string  `json:"store"`
	Counts []Count `json:"counts"` // by kind
}

// Stored is the number of objects and bytes that were put into the store.
func (s SideReport) Stored() (objects int, bytes int64) {
	for _, c := range s.Counts {
		objects, bytes = objects+c.Stored, bytes+c.Bytes
	}
	return objects, bytes
}

// Report is what a run found and did.
type Report struct {
	Snapshots int          `json:"snapshots"` // that are whole in both stores now
	Sides     []SideReport `json:"sides"`
	Problems  []string     `json:"problems"` // what neither store has whole
}

// Copy brings the store to up to date with from: everything that the snapshots need that to lacks, then these snapshots. r is the
// repository opened in from. It goes on after a damaged object, without the snapshots that need it; the error is of kind
// Integrity then. Other error kinds: LossGuard (another repository is in to), Unreachable, Auth, NoSpace, WeakLock.
func Copy(ctx context.Context, r *repo.Repo, from, to Side, o Options, p progress.Reporter) (Report, error) {
	o.Read = false
	return run(ctx, r, [2]Side{from, to}, false, o, p)
}

// Heal compares both stores and mends each from the other. r is the repository opened in the one that is to be believed in what
// is not proved by itself: see [Open]. Errors are those of [Copy].
func Heal(ctx context.Context, r *repo.Repo, a, b Side, o Options, p progress.Reporter) (Report, error) {
	return run(ctx, r, [2]Side{a, b}, true, o, p)
}

// Open opens the repository that lies in both stores, when at least one of them has the root whole and one the settings: with the
// newest settings that there are. Error: that of the first store.
func Open(ctx context.Context, k repo.Keys, a, b objstore.Store) (*repo.Repo, error) {
	var best *repo.Repo
	var first error
	for _, st := range []objstore.Store{a, b, split{a, b}, split{b, a}} {
		r, err := repo.Open(ctx, st, k)
		if err == nil && (best == nil || r.Settings.Generation > best.Settings.Generation) {
			best = r
		}
		first = cmp.Or(first, err)
	}
	if best == nil {
		return nil, first
	}
	return best, nil
}

// split reads the root from another store than the rest.
type split struct {
	objstore.Store
	root objstore.Store
}

func (s split) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if key == repo.RootKey {
		return s.root.Get(ctx, key, off, n)
	}
	return s.Store.Get(ctx, key, off, n)
}

// job is one run over two sides.
type job struct {
	repo  *repo.Repo
	sides [2]Side
	both  bool // mend the first side too
	o     Options
	p     progress.Reporter
	has   [2]map[string]objstore.Info // what is listed

	mu     sync.Mutex
	counts [2]map[Kind]*Count
	lost   map[string]bool // nobody has it whole
	done   map[string]bool // both have it, or it is lost
	rep    Report
}

func run(ctx context.Context, r *repo.Repo, sides [2]Side, both bool, o Options, p progress.Reporter) (Report, error) {
	j := &job{repo: r, sides: sides, both: both, o: o, p: p, counts: [2]map[Kind]*Count{{}, {}}, lost: map[string]bool{}, done: map[string]bool{}, rep: Report{Problems: []string{}}}
	var snapshots []snapshot
	for _, step := range []func(context.Context) error{
		j.list,
		j.settings, // whose repository it is comes before anything else
		func(ctx context.Context) (err error) { snapshots, err = j.snapshots(ctx); return err },
		func(ctx context.Context) error { return j.mendSnapshots(ctx, snapshots) }, // each comes last of what it needs
		j.mendLoose, // what no snapshot names: log since the last one, keyrings, evidence
	} {
		if err := step(ctx); err != nil {
			return j.report(), err
		}
	}
	return j.report(), j.verdict()
}

// list asks both stores what they have.
func (j *job) list(ctx context.Context) error {
	for i, side := range j.sides {
		j.has[i] = map[string]objstore.Info{}
		for info, err := range side.Store.List(ctx, "") {
			if err != nil {
				return repo.StoreError("list", side.Store, "", err)
			}
			j.has[i][info.Key] = info
		}
	}
	return nil
}

func (j *job) counted(side int, k Kind, change func(c *Count)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.counts[side][k]
	if c == nil {
		c = &Count{Kind: k}
		j.counts[side][k] = c
	}
	change(c)
}

// problem notes what cannot be mended; an error that is not about integrity ends the run.
func (j *job) problem(key string, err error) error {
	if uerr.KindOf(err) != uerr.Integrity {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lost[key] = true
	if text := err.Error(); !slices.Contains(j.rep.Problems, text) {
		j.rep.Problems = append(j.rep.Problems, text)
	}
	return nil
}

func (j *job) report() Report {
	slices.Sort(j.rep.Problems)
	for i, side := range j.sides {
		s := SideReport{Name: side.Name, Store: side.Store.String(), Counts: []Count{}}
		for _, k := range slices.Sorted(maps.Keys(j.counts[i])) {
			s.Counts = append(s.Counts, *j.counts[i][k])
		}
		j.rep.Sides = append(j.rep.Sides, s)
	}
	return j.rep
}

func (j *job) verdict() error {
	n := len(j.rep.Problems)
	if n == 0 {
		return nil
	}
	return uerr.New(uerr.Integrity, "compare the stores:", "", fmt.Errorf("%d problems that neither store can mend, the first: %w", n, errors.New(j.rep.Problems[0])),
		"take a new snapshot, which stores what is missing again: practicectl backup run; see all: practicectl backup heal --json")
}
