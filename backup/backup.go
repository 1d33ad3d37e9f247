// Package backup takes, lists, verifies and restores encrypted snapshots, and owns the repository format (docs/formats/backup.md).
//
// The host that is backed up can write and not read: it holds public recipients, an index key that opens no pack, and a
// signing key. A restore needs one of the offline identities. Every snapshot is a full restore point.
package backup

import (
	"context"
	"errors"

	"practicectl/backup/repo"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// Names of the trees of a snapshot.
const (
	DatabaseTree = "pg"
	FilesTree    = "files"
)

// Repo is an open repository.
type Repo = repo.Repo

// Keys is what the holder of a repository may do with it.
type Keys = repo.Keys

// Open opens the repository in st and checks its settings. Error kinds: NotFound, Auth, Unreachable, Integrity.
func Open(ctx context.Context, st objstore.Store, k Keys) (*Repo, error) {
	return repo.Open(ctx, st, k)
}

// Item is one snapshot of a list.
type Item struct {
	Key      string       `json:"key"`
	Snapshot *repo.Header `json:"snapshot,omitempty"`
	Problem  string       `json:"problem,omitempty"`  // why it cannot be trusted
	Shadowed string       `json:"shadowed,omitempty"` // what somebody put over it; it was read from the version below
}

// List reads the headers of all snapshots, oldest first. It needs no key. Snapshots that cannot be trusted are listed
// with their problem, and the error is then of kind Integrity.
func List(ctx context.Context, r *Repo) ([]Item, error) {
	all, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Item, len(all))
	for i := range all {
		out[i].Key, out[i].Shadowed = all[i].Key, all[i].Shadowed
		if all[i].Err != nil {
			out[i].Problem = all[i].Err.Error()
			err = all[i].Err
			continue
		}
		out[i].Snapshot = &all[i].Header
	}
	return out, err
}

// Details is what Show tells of one snapshot.
type Details struct {
	Key      string             `json:"key"`
	Snapshot repo.Header        `json:"snapshot"`
	Trees    []TreeInfo         `json:"trees,omitempty"` // with an identity
	Database *repo.DatabaseBody `json:"-"`
}

// TreeInfo is one tree of a snapshot.
type TreeInfo struct {
	Name  string `json:"name"`
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Show describes the snapshot that want names ("latest" or the beginning of an id). With an identity it also opens it.
func Show(ctx context.Context, r *Repo, want string) (Details, error) {
	s, err := r.Find(ctx, want)
	if err != nil {
		return Details{}, err
	}
	d := Details{Key: s.Key, Snapshot: s.Header}
	if len(r.Keys.Identities) == 0 {
		return d, nil
	}
	body, err := r.Body(s)
	if err != nil {
		return d, err
	}
	d.Database = body.Database
	for _, t := range body.Trees {
		d.Trees = append(d.Trees, TreeInfo{Name: t.Name, Files: t.Files, Bytes: t.Bytes})
	}
	return d, nil
}

// mayWrite checks that this host has what a writer needs and that the owner knows it.
func mayWrite(r *Repo, op string) (host string, err error) {
	k := r.Keys
	if k.Signing == nil || k.Index == nil || k.Pin == nil {
		return "", uerr.New(uerr.Precond, op, r.Store.String(), errors.New("this host has no keys to write with"), "practicectl backup init")
	}
	key, ok := r.Settings.WriterOf(k.Pin.Host)
	if !ok || !key.Equal(k.Signing.Public()) {
		return "", uerr.New(uerr.Auth, op, r.Store.String(), errors.New("the owner of the repository does not know this host's signing key"), "have the owner add this host")
	}
	return k.Pin.Host, nil
}
