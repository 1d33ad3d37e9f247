package publish

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/uerr"
	"practicectl/release"
)

const day = 24 * time.Hour

// life is how long each role's signature is valid.
func life(role string) time.Duration {
	switch role {
	case Root:
		return 3 * 365 * day
	case Targets:
		return 548 * day
	case release.Beta:
		return 60 * day
	case Snapshot, Timestamp:
		return 14 * day
	}
	return 365 * day
}

// threshold is how many keys must sign a role unless the ceremony says otherwise.
func threshold(role string) int {
	switch role {
	case release.Beta, Snapshot, Timestamp:
		return 1
	}
	return 2
}

// CeremonyOptions start a repository.
type CeremonyOptions struct {
	Stage      string
	Keys       map[string][]PublicKey // by role; targets defaults to root's, lts and deps to stable's
	Thresholds map[string]int         // only what differs from the defaults (2; 1 for beta, snapshot, timestamp)
	Now        time.Time
}

// InitCeremony writes the unsigned 1.root.json and 1.targets.json into the stage. Error kind: Precond.
func InitCeremony(o CeremonyOptions) ([]SignStatus, error) {
	const op = "start the key ceremony in"
	keys, need, err := o.settle()
	if err != nil {
		return nil, uerr.New(uerr.Precond, op, o.Stage, err, "practicectl release ceremony init --help")
	}
	s, err := openStage(o.Stage)
	if err != nil {
		return nil, err
	}
	if left := s.drafts(); len(left) > 0 {
		return nil, uerr.New(uerr.Precond, op, o.Stage, errors.New("the stage already holds drafts"), "practicectl release ceremony status --stage "+o.Stage)
	}
	now := second(o.Now)
	root := metadata.Root(now.Add(life(Root)))
	for _, role := range []string{Root, Targets, Snapshot, Timestamp} {
		root.Signed.Roles[role].Threshold = need[role]
		for _, p := range keys[role] {
			k, err := p.tuf()
			if err == nil {
				err = root.Signed.AddKey(k, role)
			}
			if err != nil {
				return nil, uerr.New(uerr.Precond, op, o.Stage, err, "")
			}
		}
	}
	targets := metadata.Targets(now.Add(life(Targets)))
	if targets.Signed.Delegations, err = delegations(keys, need); err != nil {
		return nil, uerr.New(uerr.Precond, op, o.Stage, err, "")
	}
	if err := saveDraft(s, Root, root); err != nil {
		return nil, err
	}
	if err := saveDraft(s, Targets, targets); err != nil {
		return nil, err
	}
	return StageStatus(o.Stage, "")
}

// settle fills in defaults and refuses thresholds that cannot be met.
func (o CeremonyOptions) settle() (map[string][]PublicKey, map[string]int, error) {
	keys, need := maps.Clone(o.Keys), map[string]int{}
	for role, from := range map[string]string{Targets: Root, release.LTS: release.Stable, release.Deps: release.Stable, release.Beta: release.Stable} {
		if len(keys[role]) == 0 {
			keys[role] = keys[from]
		}
	}
	for _, role := range append(release.Roles(), Root, Targets, Snapshot, Timestamp) {
		need[role] = threshold(role)
		if n, set := o.Thresholds[role]; set {
			need[role] = n
		}
		distinct := map[string]bool{}
		for _, k := range keys[role] {
			distinct[k.ID] = true
		}
		if need[role] < 1 || need[role] > len(distinct) {
			return nil, nil, fmt.Errorf("role %s needs %d signatures, but has %d keys", role, need[role], len(distinct))
		}
	}
	for role := range o.Thresholds {
		if need[role] == 0 {
			return nil, nil, fmt.Errorf("there is no role %q", role)
		}
	}
	return keys, need, nil
}

// delegations hand each channel to its own role, terminating, by path patterns. Hash prefixes are never used: go-tuf
// compares them in another encoding than the specification.
func delegations(keys map[string][]PublicKey, need map[string]int) (*metadata.Delegations, error) {
	d := &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	for _, role := range release.Roles() {
		r := metadata.DelegatedRole{Name: role, Threshold: need[role], Terminating: true, Paths: release.DelegatedPaths(role)}
		for _, p := range keys[role] {
			k, err := p.tuf()
			if err != nil {
				return nil, err
			}
			d.Keys[p.ID] = k
			if !slices.Contains(r.KeyIDs, p.ID) {
				r.KeyIDs = append(r.KeyIDs, p.ID)
			}
		}
		d.Roles = append(d.Roles, r)
	}
	return d, nil
}

// Rotation changes who signs the top-level roles.
type Rotation struct {
	Stage, Repo string
	Revoke      map[string][]string // role → key ids
	Add         map[string][]PublicKey
	Now         time.Time
}

// Rotate writes the next root, unsigned, into the stage. It must be signed by the threshold of the old and of the new
// root keys. Error kinds: Precond, NotFound.
func Rotate(o Rotation) ([]SignStatus, error) {
	const op = "rotate keys of"
	s, err := openStage(o.Stage)
	if err != nil {
		return nil, err
	}
	roots, err := rootChain(o.Repo, "")
	if err != nil {
		return nil, err
	}
	next, err := metadata.Root().FromBytes(roots[len(roots)-1].data)
	if err != nil {
		return nil, uerr.New(uerr.Integrity, op, o.Repo, err, "")
	}
	for role, ids := range o.Revoke {
		for _, id := range ids {
			if err := next.Signed.RevokeKey(id, role); err != nil {
				return nil, uerr.New(uerr.Precond, op, role, err, "practicectl release ceremony status")
			}
		}
	}
	for role, keys := range o.Add {
		for _, p := range keys {
			k, err := p.tuf()
			if err == nil {
				err = next.Signed.AddKey(k, role)
			}
			if err != nil {
				return nil, uerr.New(uerr.Precond, op, role, err, "")
			}
		}
	}
	for role, r := range next.Signed.Roles {
		if r.Threshold > len(r.KeyIDs) {
			return nil, uerr.New(uerr.Precond, op, role, fmt.Errorf("%d keys are left, %d must sign", len(r.KeyIDs), r.Threshold), "add a key in the same rotation")
		}
	}
	next.Signed.Version++
	next.Signed.Expires = second(o.Now).Add(life(Root))
	next.ClearSignatures()
	if err := saveDraft(s, Root, next); err != nil {
		return nil, err
	}
	return StageStatus(o.Stage, o.Repo)
}

// second drops what TUF dates must not have: fractions and time zones.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// openStage makes the folders of a stage.
func openStage(dir string) (stage, error) {
	s := stage(dir)
	for _, d := range []string{s.metadata(), s.targets()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return s, uerr.New(uerr.Precond, "open the stage", dir, err, "")
		}
	}
	return s, nil
}

// stage is the folder in which a release waits for its signatures.
type stage string

func (s stage) metadata() string { return filepath.Join(string(s), "metadata") }
func (s stage) targets() string  { return filepath.Join(string(s), "targets") }
