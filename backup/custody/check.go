package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// CheckOptions says how much is tried.
type CheckOptions struct {
	All  bool            // the header of every object; else a sample
	Pick func(n int) int // a number below n, at random
}

// Opening is one thing that was tried.
type Opening struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created,omitzero"`
	Opens   bool      `json:"opens"`
	Why     string    `json:"why,omitempty"` // it does not
}

// CheckReport is what the given identities open.
type CheckReport struct {
	Repository  string    `json:"repository"`
	Identities  []string  `json:"identities"` // fingerprints of their public keys; those of plugins have none
	Generation  int       `json:"generation"`
	Generations []Opening `json:"generations"`  // the index key of each
	Snapshots   []Opening `json:"snapshots"`    // whose contents were opened: the newest, the oldest and one at random
	Objects     int       `json:"objects"`      // whose headers were opened
	FromKeyring int       `json:"from_keyring"` // of these, by the keys that a rotation handed on
	Unopened    []string  `json:"unopened"`     // objects that are not opened
	All         bool      `json:"all"`          // every object was tried, not a sample
}

// Check tries whether the identities of r still open the repository, without restoring anything: the index key of each
// generation, the newest, the oldest and a random snapshot, and the headers of objects that they need or of all. The error is of
// kind Auth when something stays closed, and Integrity when it is damaged; the report comes with it.
func Check(ctx context.Context, r *repo.Repo, o CheckOptions, p progress.Reporter) (CheckReport, error) {
	rep := CheckReport{Repository: r.Root.ID, Generation: r.Settings.Generation, Identities: []string{}, Snapshots: []Opening{}, Unopened: []string{}, All: o.All}
	for _, id := range r.Keys.Identities {
		if recipient := sealed.RecipientOf(id); recipient != "" {
			rep.Identities = append(rep.Identities, sealed.Fingerprint(recipient))
		}
	}
	g := newGathering(r)
	for _, s := range r.Generations {
		object := repo.SettingsKey(s.Generation)
		_, err := s.OpenIndexKey(r.IdentitiesFor(object)...)
		rep.Generations = append(rep.Generations, opening(object, s.Created, err))
		g.note(object, nil, err)
	}
	objects, err := rep.sample(ctx, r, g, o)
	if err != nil {
		return rep, err
	}
	task := p.Task("check", progress.Items, int64(len(objects)))
	defer task.Done()
	if err := g.open(ctx, objects, func() { task.Add(1) }); err != nil {
		return rep, err
	}
	rep.Objects = len(g.keys)
	for object := range g.keys {
		if _, ok := r.HandedOn(object); ok {
			rep.FromKeyring++
		}
	}
	return rep, rep.verdict(ctx, r, g)
}

func opening(name string, created time.Time, err error) Opening {
	switch {
	case err == nil:
		return Opening{Name: name, Created: created, Opens: true}
	case uerr.KindOf(err) == uerr.Auth:
		return Opening{Name: name, Created: created, Why: "none of the given identities opens it"}
	}
	return Opening{Name: name, Created: created, Why: err.Error()}
}

// sample opens three snapshots and chooses the objects to try.
func (rep *CheckReport) sample(ctx context.Context, r *repo.Repo, g *gathering, o CheckOptions) ([]objstore.Info, error) {
	snapshots, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	snapshots = slices.DeleteFunc(snapshots, func(s repo.Snapshot) bool { return s.Err != nil })
	want := map[string]bool{}
	if n := len(snapshots); n > 0 {
		for _, i := range slices.Compact(slices.Sorted(slices.Values([]int{0, o.Pick(n), n - 1}))) {
			s := snapshots[i]
			_, err := r.Body(s)
			if k := uerr.KindOf(err); err != nil && k != uerr.Auth && k != uerr.Integrity {
				return nil, err
			}
			rep.Snapshots = append(rep.Snapshots, opening(s.Key, s.Header.Created, err))
			g.note(s.Key, nil, err)
			if err := choose(ctx, r, s.Header, o.Pick, want); err != nil {
				return nil, err
			}
		}
	}
	objects, err := sealedObjects(ctx, r.Store)
	if err != nil || o.All {
		return objects, err
	}
	objects = slices.DeleteFunc(objects, func(info objstore.Info) bool { return !want[info.Key] })
	for _, info := range objects {
		delete(want, info.Key)
	}
	for object := range want {
		g.note(object, nil, repo.Tampered("check", r.Store, object, errors.New("it is missing")))
	}
	return objects, nil
}

// choose takes the first, the last and a random one of the packs and of the log of a snapshot.
func choose(ctx context.Context, r *repo.Repo, h repo.Header, pick func(int) int, want map[string]bool) error {
	packs, err := r.Packs(ctx, h)
	if err != nil {
		return err
	}
	if n := len(packs); n > 0 {
		for _, i := range []int{0, pick(n), n - 1} {
			want[packs[i].ID.Key()] = true
		}
	}
	if n := len(h.WAL); n > 0 {
		for _, i := range []int{0, pick(n), n - 1} {
			want[h.WAL[i].Key] = true
		}
	}
	return nil
}

// verdict is an error when something that a snapshot needs stays closed. What nobody needs is only listed.
func (rep *CheckReport) verdict(ctx context.Context, r *repo.Repo, g *gathering) error {
	const op = "open the backups in"
	if len(g.failed) == 0 {
		return nil
	}
	need, err := needed(ctx, r)
	if err != nil {
		return err
	}
	var closed, damaged []string
	for object, err := range g.failed {
		rep.Unopened = append(rep.Unopened, object)
		switch {
		case !need[object]:
		case uerr.KindOf(err) == uerr.Auth:
			closed = append(closed, object)
		default:
			damaged = append(damaged, object)
		}
	}
	slices.Sort(rep.Unopened)
	switch {
	case len(closed) > 0:
		slices.Sort(closed)
		return uerr.New(uerr.Auth, op, r.Store.String(), fmt.Errorf("these identities do not open %d objects that snapshots need, the first: %s", len(closed), closed[0]), closedHint(rep))
	case len(damaged) > 0:
		slices.Sort(damaged)
		return uerr.New(uerr.Integrity, op, r.Store.String(), errors.New(g.failed[damaged[0]].Error()), "practicectl backup verify")
	}
	return nil
}

// closedHint tells an identity that came later from one that is somebody else's.
func closedHint(rep *CheckReport) string {
	if last := rep.Generations[len(rep.Generations)-1]; last.Opens && strings.HasPrefix(last.Name, repo.SettingsPrefix) {
		return "hand the past on to it, with an identity that opens it: practicectl key rotate --identity OLDER --owner-key FILE"
	}
	return "give an identity of one of the recipients: practicectl key list"
}
