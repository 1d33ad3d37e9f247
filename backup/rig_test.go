package backup_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/progress"
)

// rig is a repository with its keys, as the host and as the holder of an identity see it.
type rig struct {
	t          testing.TB
	store      objstore.Store
	keys       backup.Keys // of the host
	cred       string      // folder with the host's secrets
	owner      string      // file with the owner key
	recipients []string
	identities []age.Identity
	cache      string
	packSize   int
}

// newRig makes a repository with two recipients in st.
func newRig(t testing.TB, st objstore.Store) *rig {
	t.Helper()
	return newRigWith(t, st, backup.InitOptions{})
}

// newRigWith makes one in a store of which something was found out, or with recipients of the caller's, whose identities it does not
// know.
func newRigWith(t testing.TB, st objstore.Store, o backup.InitOptions) *rig {
	t.Helper()
	g := &rig{t: t, store: st, cache: filepath.Join(t.TempDir(), "cache")}
	for len(o.Recipients) == 0 && len(g.recipients) < 2 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		g.identities = append(g.identities, id)
		g.recipients = append(g.recipients, id.Recipient().String())
	}
	g.recipients = append(g.recipients, o.Recipients...)
	g.cred, g.owner = t.TempDir(), filepath.Join(t.TempDir(), "owner.pem")
	o.Host, o.Recipients, o.Now = "praxis-1", g.recipients, time.Now()
	_, err := backup.Setup(t.Context(), st, backup.SetupOptions{Credentials: g.cred, OwnerKey: g.owner,
		InitOptions: o})
	if err != nil {
		t.Fatal(err)
	}
	if g.keys, err = backup.LoadKeys(g.cred); err != nil {
		t.Fatal(err)
	}
	return g
}

// dirStore is a store in a new folder.
func dirStore(t testing.TB) (objstore.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return reopen(t, path), path
}

func reopen(t testing.TB, path string) objstore.Store {
	t.Helper()
	st, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// host opens the repository as the backed-up host does.
func (g *rig) host() *backup.Repo {
	g.t.Helper()
	r, err := backup.Open(g.t.Context(), g.store, g.keys)
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

// holder opens the repository as somebody does who has nothing but the second identity.
func (g *rig) holder() *backup.Repo {
	g.t.Helper()
	r, err := backup.Open(g.t.Context(), g.store, backup.Keys{Identities: g.identities[1:2]})
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

func (g *rig) options() backup.RunOptions {
	return backup.RunOptions{Cache: g.cache, Recipients: g.recipients, PackSize: g.packSize, Now: time.Now}
}

// run takes a snapshot.
func (g *rig) run(src backup.Source) backup.Report {
	g.t.Helper()
	rep, err := backup.Run(g.t.Context(), g.host(), src, g.options(), progress.None)
	if err != nil {
		g.t.Fatal(err)
	}
	return rep
}

// restore lays a snapshot into a new folder.
func (g *rig) restore(snapshot, target string, o backup.RestoreOptions) backup.RestoreReport {
	g.t.Helper()
	rep, err := g.tryRestore(g.t.Context(), snapshot, target, o)
	if err != nil {
		g.t.Fatal(err)
	}
	return rep
}

func (g *rig) tryRestore(ctx context.Context, snapshot, target string, o backup.RestoreOptions) (backup.RestoreReport, error) {
	o.Now = time.Now
	plan, err := backup.PlanRestore(ctx, g.holder(), backup.Target{Snapshot: snapshot, Dir: target})
	if err != nil {
		return backup.RestoreReport{}, err
	}
	return backup.Restore(ctx, plan, o, progress.None)
}

// secret is the text of an identity.
func (g *rig) secret(i int) string {
	return g.identities[i].(*age.X25519Identity).String()
}
