package publish

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/uerr"
)

// authority knows who signs what: the chain of roots and the newest targets role, from repository and stage.
type authority struct {
	roots   []chainRoot
	targets *metadata.Metadata[metadata.TargetsType]
}

type chainRoot struct {
	version int64
	data    []byte
	meta    *metadata.Metadata[metadata.RootType]
}

func (a authority) root() *metadata.Metadata[metadata.RootType] { return a.roots[len(a.roots)-1].meta }

// authorities reads the roots and targets that the drafts of a stage answer to.
func authorities(s stage, repo string) (authority, error) {
	roots, err := rootChain(repo, string(s))
	if err != nil {
		return authority{}, err
	}
	a := authority{roots: roots}
	if d, ok := s.find(Targets); ok {
		a.targets, err = metadata.Targets().FromFile(d.path)
	} else if repo != "" {
		var st *state
		if st, err = readState(repo); err == nil {
			a.targets = st.targets
		}
	}
	if err != nil {
		return authority{}, uerr.New(uerr.Integrity, "read the targets role of", string(s), err, "")
	}
	return a, nil
}

// rootChain reads 1.root.json and its successors from the repository, then from the stage. Signatures are judged
// later; here only the order counts.
func rootChain(repo, stageDir string) ([]chainRoot, error) {
	var chain []chainRoot
	for n := int64(1); ; n++ {
		name := filepath.Join("metadata", strconv.FormatInt(n, 10)+".root.json")
		data, err := os.ReadFile(filepath.Join(repo, name))
		if repo == "" || errors.Is(err, os.ErrNotExist) {
			data, err = os.ReadFile(filepath.Join(stageDir, name))
			if stageDir == "" || errors.Is(err, os.ErrNotExist) {
				break
			}
		}
		if err != nil {
			return nil, uerr.New(uerr.Precond, "read", name, err, "")
		}
		m, err := metadata.Root().FromBytes(data)
		if err != nil || m.Signed.Version != n {
			return nil, uerr.New(uerr.Integrity, "read", name, errors.Join(err, errors.New("not that root")), "")
		}
		chain = append(chain, chainRoot{n, data, m})
	}
	if len(chain) == 0 {
		return nil, uerr.New(uerr.NotFound, "find the root role in", repo, errors.New("no 1.root.json"), "practicectl release ceremony init --help")
	}
	return chain, nil
}

// keysOf returns the keys that may sign a role's version, and how many must.
func (a authority) keysOf(role string, version int64) (map[string]*metadata.Key, int, error) {
	out := map[string]*metadata.Key{}
	take := func(ids []string, keys map[string]*metadata.Key) {
		for _, id := range ids {
			if keys[id] != nil {
				out[id] = keys[id]
			}
		}
	}
	if role == Root {
		i := slices.IndexFunc(a.roots, func(r chainRoot) bool { return r.version == version })
		if i < 0 {
			return nil, 0, uerr.New(uerr.NotFound, "find root version", strconv.FormatInt(version, 10), errors.New("a root before it is missing"), "")
		}
		r := a.roots[i].meta.Signed
		take(r.Roles[Root].KeyIDs, r.Keys)
		need := r.Roles[Root].Threshold
		if i > 0 { // its predecessor's people sign too
			old := a.roots[i-1].meta.Signed
			take(old.Roles[Root].KeyIDs, old.Keys)
		}
		return out, need, nil
	}
	if r := a.root().Signed.Roles[role]; r != nil {
		take(r.KeyIDs, a.root().Signed.Keys)
		return out, r.Threshold, nil
	}
	if a.targets != nil && a.targets.Signed.Delegations != nil {
		for _, r := range a.targets.Signed.Delegations.Roles {
			if r.Name == role {
				take(r.KeyIDs, a.targets.Signed.Delegations.Keys)
				return out, r.Threshold, nil
			}
		}
	}
	return nil, 0, uerr.New(uerr.NotFound, "find the role", role, errors.New("no key signs it"), "practicectl release ceremony status")
}

// status counts the valid signatures of a draft.
func (a authority) status(d draft) (SignStatus, error) {
	keys, need, err := a.keysOf(d.role, d.version)
	if err != nil {
		return SignStatus{}, err
	}
	st := SignStatus{Role: d.role, Version: d.version, File: d.path, Need: need}
	var signed any
	if d.role == Root {
		m, err := metadata.Root().FromFile(d.path)
		if err != nil {
			return st, uerr.New(uerr.Integrity, "read", d.path, err, "")
		}
		signed, st.Expires = m, m.Signed.Expires
	} else {
		m, err := metadata.Targets().FromFile(d.path)
		if err != nil {
			return st, uerr.New(uerr.Integrity, "read", d.path, err, "")
		}
		signed, st.Expires = m, m.Signed.Expires
	}
	for id, k := range keys {
		if signedBy(k, id, signed) {
			st.Signed = append(st.Signed, id)
		} else {
			st.Missing = append(st.Missing, id)
		}
	}
	slices.Sort(st.Signed)
	slices.Sort(st.Missing)
	st.Complete = len(st.Signed) >= st.Need
	if d.role == Root {
		a.rootStatus(&st)
	}
	return st, nil
}

// rootStatus counts the two thresholds of a new root apart.
func (a authority) rootStatus(st *SignStatus) {
	i := slices.IndexFunc(a.roots, func(r chainRoot) bool { return r.version == st.Version })
	count := func(r chainRoot) (have int) {
		for _, id := range st.Signed {
			if slices.Contains(r.meta.Signed.Roles[Root].KeyIDs, id) {
				have++
			}
		}
		return have
	}
	st.Complete = count(a.roots[i]) >= st.Need
	if i > 0 {
		st.OldNeed, st.OldHave = a.roots[i-1].meta.Signed.Roles[Root].Threshold, count(a.roots[i-1])
		st.Complete = st.Complete && st.OldHave >= st.OldNeed
	}
}

// signedBy asks go-tuf whether one key alone has signed.
func signedBy(k *metadata.Key, id string, signed any) bool {
	asker := metadata.Root(time.Time{})
	asker.Signed.Keys[id] = k
	asker.Signed.Roles[Root] = &metadata.Role{KeyIDs: []string{id}, Threshold: 1}
	return asker.VerifyDelegate(Root, signed) == nil
}

// verifyChain checks that every root is vouched for by the one before it and by itself.
func (a authority) verifyChain() error {
	for i, r := range a.roots {
		if err := r.meta.VerifyDelegate(Root, r.meta); err != nil {
			return fmt.Errorf("root %d: %w", r.version, err)
		}
		if i > 0 {
			if err := a.roots[i-1].meta.VerifyDelegate(Root, r.meta); err != nil {
				return fmt.Errorf("root %d: not signed by the root before it: %w", r.version, err)
			}
		}
	}
	return nil
}
