package drill_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/backup/drill"
	"practicectl/backup/proof"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// promises are what the database of these tests promises.
var promises = proof.Invariants{Database: pgcluster.DefaultDatabase, Schema: `SELECT count(*) FROM public.version`, Checks: []proof.Check{
	{Name: "balance", Says: "no money is lost", At: "accounts", Count: `SELECT count(*) FROM public.account`, SQL: `SELECT 'the sum is wrong' FROM public.account HAVING sum(balance) <> 1000 * count(*)`, Since: 1},
	{Name: "entries", Says: "the journal only grows", At: "entries", Count: `SELECT count(*) FROM public.journal`, Grows: true, Since: 1},
	{Name: "later", Says: "what a later version promises", At: "things", Count: `SELECT count(*) FROM public.nowhere`, Since: 9},
}}

// rig is a cluster with a repository, and a machine that drills.
type rig struct {
	t          testing.TB
	cluster    *pgcluster.Cluster
	store      objstore.Store
	folder     string // of the store
	keys       backup.Keys
	cache      string
	recipients []string
	identity   age.Identity
	identities string // file with it
	state, dir string // of the drills
}

func newRig(t testing.TB, c *pgcluster.Cluster) *rig {
	t.Helper()
	base, err := os.MkdirTemp("/tmp", "dr") // PostgreSQL's account has to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	g := &rig{t: t, cluster: c, folder: filepath.Join(base, "store"), cache: filepath.Join(base, "cache"), state: filepath.Join(base, "state"), dir: filepath.Join(base, "Übungen"), identities: filepath.Join(base, "identity")}
	if err := errors.Join(os.Chmod(base, 0o755), os.Mkdir(g.folder, 0o755), os.Mkdir(filepath.Join(base, "cred"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if g.store, err = dir.Open(g.folder); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		g.identity, g.recipients = id, append(g.recipients, id.Recipient().String())
		if err := os.WriteFile(g.identities, []byte(id.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cred := filepath.Join(base, "cred")
	_, err = backup.Setup(t.Context(), g.store, backup.SetupOptions{Credentials: cred, OwnerKey: filepath.Join(base, "owner.pem"),
		InitOptions: backup.InitOptions{Host: "praxis-1", Recipients: g.recipients, Now: time.Now()}})
	if err == nil {
		g.keys, err = backup.LoadKeys(cred)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// snapshot takes one that reads every page: what a test does to a file behind the server's back stands in no log.
func (g *rig) snapshot() backup.Report {
	g.t.Helper()
	r, err := backup.Open(g.t.Context(), g.store, g.keys)
	if err != nil {
		g.t.Fatal(err)
	}
	src := backup.Source{Database: &backup.Database{ConnString: g.cluster.ConnString(pgcluster.RoleBackup, pgcluster.DefaultDatabase), Data: g.cluster.Data}}
	rep, err := backup.Run(g.t.Context(), r, src, backup.RunOptions{Cache: g.cache, Recipients: g.recipients, Full: true, Now: time.Now}, progress.None)
	if err != nil {
		g.t.Fatal(err)
	}
	return rep
}

func (g *rig) open(ctx context.Context) (*backup.Repo, error) {
	st, err := dir.Open(g.folder)
	if err != nil {
		return nil, err
	}
	return backup.Open(ctx, st, backup.Keys{Identities: []age.Identity{g.identity}})
}

func (g *rig) keeper() drill.Keeper {
	g.t.Helper()
	key, _, err := drill.EnsureKey(filepath.Join(g.state, "drill.key"))
	if err != nil {
		g.t.Fatal(err)
	}
	return drill.Keeper{Host: "drill-1", Key: key, State: g.state}
}

func (g *rig) options() drill.Options { return g.optionsWith(g.keeper()) }

func (g *rig) optionsWith(k drill.Keeper) drill.Options {
	o := drill.Options{Keeper: k, Dir: g.dir, Seed: 7, Account: g.cluster.RunAs, Invariants: promises, RTO: time.Hour, RPO: time.Hour, Program: "test", Now: time.Now,
		Postgres: func(context.Context, int) (pgcluster.Binaries, error) { return g.cluster.Bin, nil }}
	if a := g.cluster.RunAs; a != nil {
		o.Own = func(path string) error { return os.Lchown(path, int(a.UID), int(a.GID)) }
	}
	return o
}

// drill runs one and checks that nothing of it is left.
func (g *rig) drill(change ...func(*drill.Options)) (*drill.Evidence, error) {
	g.t.Helper()
	o := g.options()
	for _, c := range change {
		c(&o)
	}
	e, err := drill.Run(g.t.Context(), g.open, o, progress.None)
	g.nothingLeft()
	return e, err
}

func (g *rig) nothingLeft() {
	g.t.Helper()
	for _, pattern := range []string{filepath.Join(g.dir, "*"), filepath.Join(g.state, "scratch", "*"), filepath.Join(os.TempDir(), "practicectl-drill-*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			g.t.Fatal(err)
		}
		found = slices.DeleteFunc(found, func(path string) bool { return !g.mine(path) || strings.HasSuffix(path, "0123456789abcdef") })
		if len(found) > 0 {
			g.t.Errorf("left behind: %q", found)
		}
	}
}

// mine tells a leftover of this rig from those of tests that run beside: the marker of a socket's folder does not name them.
func (g *rig) mine(path string) bool {
	if !strings.HasPrefix(path, os.TempDir()+"/practicectl-drill-") {
		return true
	}
	name := strings.TrimSuffix(filepath.Base(path), "-s")
	_, err := os.Stat(filepath.Join(g.state, "scratch", name+".json"))
	return err == nil
}

// chains reads the evidence.
func (g *rig) chains() ([]drill.Chain, error) {
	g.t.Helper()
	r, err := backup.Open(g.t.Context(), g.store, backup.Keys{})
	if err != nil {
		g.t.Fatal(err)
	}
	return drill.Chains(g.t.Context(), r, g.keeper())
}

// check finds the result of a check.
func check(t testing.TB, e *drill.Evidence, name string) proof.Result {
	t.Helper()
	i := slices.IndexFunc(e.Checks, func(r proof.Result) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("the check %s was not done: %+v", name, e.Checks)
	}
	return e.Checks[i]
}

func execSQL(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func connect(t testing.TB, c *pgcluster.Cluster) *pgx.Conn {
	t.Helper()
	conn, err := c.Connect(context.Background(), pgcluster.Superuser, pgcluster.DefaultDatabase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// fill makes tables with indexes of several kinds and a reference.
func fill(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	execSQL(t, conn,
		`CREATE TABLE public.version (n int)`, `INSERT INTO public.version VALUES (1)`,
		`CREATE TABLE public.account (id int PRIMARY KEY, balance bigint NOT NULL, note text NOT NULL)`,
		`INSERT INTO public.account SELECT i, 1000, repeat(md5(i::text), 6) FROM generate_series(1, 2000) i`,
		`CREATE TABLE public.journal (id bigserial PRIMARY KEY, account int NOT NULL REFERENCES public.account, body text NOT NULL)`,
		`INSERT INTO public.journal (account, body) SELECT 1 + i % 2000, repeat(md5(i::text), 1 + i % 200) FROM generate_series(1, 3000) i`,
		`CREATE INDEX journal_account ON public.journal (account)`,
		`CREATE INDEX journal_body ON public.journal USING gin (body gin_trgm_ops)`,
		`VACUUM (FREEZE, ANALYZE) public.account`)
}

func wants(t testing.TB, err error, kind uerr.Kind, text string) {
	t.Helper()
	if uerr.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), text) || uerr.HintOf(err) == "" {
		t.Errorf("got %v (%s, fix: %s), want %s with %q and a hint", err, uerr.KindOf(err), uerr.HintOf(err), kind, text)
	}
}

func eachMajor(t *testing.T, fn func(t *testing.T, major int)) {
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) { fn(t, major) })
	}
}
