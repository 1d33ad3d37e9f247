package updater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/progress"
	"practicectl/internal/slots"
	"practicectl/release"
	"practicectl/release/trust"
)

// rig is an installation of three components in a folder. Everything about it lies in files, so that another process can
// kill itself in the middle and this one looks at what is left.
type rig struct {
	Dir  string
	db   database
	shop *shop // where releases come from; nil: everything is staged already
}

// shop is a release repository and what its customers know of it.
type shop struct {
	Repo  string
	Root  []byte
	Clock time.Time
}

func (s *shop) client(dir string) (*trust.Client, error) {
	return trust.Open(trust.Options{Source: s.Repo, Dir: dir, Channel: release.Stable, Root: s.Root, Now: func() time.Time { return s.Clock }, Attempts: 1})
}

// database is a real PostgreSQL (postgres_test.go) or, where only the order of things matters, a folder that looks like
// one and costs no time.
type database interface {
	data() string
	start(ctx context.Context) error
	stop(ctx context.Context) error
	running() bool
	schema(ctx context.Context) (int, error)
	migrate(ctx context.Context, to int) error // destroys what a version before could read
	write(row string) error                    // what a user does
	rows() (string, error)
}

// serverState is the core server as far as the updater can see it.
type serverState struct {
	Mode    string `json:"mode"` // "open", "maintenance" or "stopped"
	Version string `json:"version"`
}

var rigComponents = []string{"module-clinical", "practicectl", "server"} //nolint:gochecknoglobals // constant

func (r rig) path(elem ...string) string { return filepath.Join(append([]string{r.Dir}, elem...)...) }
func (r rig) slots(name string) slots.Slots {
	return slots.Slots{Dir: r.path("opt", name)}
}

// install puts version in every slot; its server knows schema and is broken when asked to be.
func (r rig) install(t *testing.T, version string, schema int, broken bool) {
	t.Helper()
	for _, name := range rigComponents {
		err := r.slots(name).Stage(context.Background(), version, func(dir string) error {
			return layComponent(dir, name, version, schema, broken)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// layComponent writes the files of a component as they would be built.
func layComponent(dir, name, version string, schema int, broken bool) error {
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "bin"), 0o755),
		os.WriteFile(filepath.Join(dir, "bin", name), []byte("#!/bin/sh\necho "+name+" "+version+"\n"), 0o755),
		os.WriteFile(filepath.Join(dir, "schema"), []byte(strconv.Itoa(schema)), 0o644))
	if broken {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "broken"), nil, 0o644))
	}
	return err
}

func (r rig) live(t *testing.T, version string) {
	t.Helper()
	for _, name := range rigComponents {
		if err := r.slots(name).Switch(version); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(r.db.start(context.Background()), r.setServer("open")); err != nil {
		t.Fatal(err)
	}
}

func (r rig) server() (s serverState, err error) {
	b, err := os.ReadFile(r.path("server.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

func (r rig) setServer(mode string) error {
	version, err := r.slots("server").Current()
	if err != nil {
		return err
	}
	b, err := json.Marshal(serverState{Mode: mode, Version: version})
	return errors.Join(err, atomicfile.WriteBytes(r.path("server.json"), 0o644, b))
}

func (r rig) knows(version string) (int, error) {
	b, err := os.ReadFile(filepath.Join(r.slots("server").Path(version), "schema"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// probe is a server that is strict about its schema and not ready when it is broken.
func (r rig) probe(ctx context.Context) error {
	s, err := r.server()
	if err != nil {
		return err
	}
	if s.Mode == "stopped" || !r.db.running() {
		return fmt.Errorf("server is %s, database running: %v", s.Mode, r.db.running())
	}
	if _, err := os.Stat(filepath.Join(r.slots("server").Path(s.Version), "broken")); err == nil {
		return errors.New("503: a fault")
	}
	known, err := r.knows(s.Version)
	if err != nil {
		return err
	}
	if applied, err := r.db.schema(ctx); err != nil || applied != known {
		return errors.Join(fmt.Errorf("schema %d, version %s knows %d", applied, s.Version, known), err)
	}
	return nil
}

// hooks are the services of the rig.
func (r rig) hooks() Hooks {
	return Hooks{
		StopServer:       func(context.Context) error { return r.setServer("stopped") },
		StartMaintenance: func(context.Context) error { return r.setServer("maintenance") },
		OpenToUsers:      func(context.Context) error { return r.setServer("open") },
		StopDatabase:     r.db.stop,
		StartDatabase:    r.db.start,
		Migrate: func(ctx context.Context, version string) error {
			to, err := r.knows(version)
			if err != nil {
				return err
			}
			return r.db.migrate(ctx, to)
		},
		Probe: r.probe,
		Schema: func(ctx context.Context, version string) (Schema, error) {
			known, err1 := r.knows(version)
			applied, err2 := r.db.schema(ctx)
			return Schema{Known: known, Applied: applied}, errors.Join(err1, err2)
		},
	}
}

func (r rig) updater(crash func(string)) *Updater {
	var source Source
	now := time.Now
	if r.shop != nil {
		client, err := r.shop.client(r.path("var", "trust"))
		if err != nil {
			panic(err)
		}
		source, now = client, func() time.Time { return r.shop.Clock }
	}
	return New(Options{Source: source, Now: now, HostID: "one", Hooks: r.hooks(), Opt: r.path("opt"), Journal: r.path("var", "update.jsonl"), Notices: r.path("var", "notices.json"),
		Lock: r.path("run", "update.lock"), Downloads: r.path("var", "downloads"), PGData: r.db.data(), OS: "linux", Arch: "amd64",
		ProbeFor: 50 * time.Millisecond, Crash: crash}, progress.None)
}

// transition is the update that the rig's tests run.
func (r rig) transition(from, to string) Transition {
	t := Transition{Action: ActionUpdate, From: from, To: to, Components: map[string]string{}}
	for _, name := range rigComponents {
		t.Components[name] = from
	}
	t.SchemaFrom, _ = r.knows(from)
	t.SchemaTo, _ = r.knows(to)
	return t
}

// settled checks that the installation is exactly version, open to users, with nothing of another left.
func (r rig) settled(t *testing.T, version string) {
	t.Helper()
	for _, name := range rigComponents {
		if got, err := r.slots(name).Current(); got != version || err != nil {
			t.Errorf("%s is at %q, want %q: %v", name, got, version, err)
		}
		entries, _ := os.ReadDir(r.slots(name).Dir)
		for _, e := range entries {
			if strings.Contains(e.Name(), ".unverified") || strings.Contains(e.Name(), ".removing") || strings.HasSuffix(e.Name(), ".new") {
				t.Errorf("%s holds %s", name, e.Name())
			}
		}
	}
	if s, err := r.server(); s.Mode != "open" || s.Version != version || err != nil {
		t.Errorf("server is %+v, want %s open: %v", s, version, err)
	}
	if err := r.probe(context.Background()); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(r.db.data() + ".*"); len(left) > 0 || err != nil {
		t.Errorf("left beside the database: %v %v", left, err)
	}
	if open, err := r.updater(nil).Unfinished(); open || err != nil {
		t.Errorf("unfinished: %v, %v", open, err)
	}
}

// folderDB is a folder with the shape of a cluster.
type folderDB string

func newFolderRig(t *testing.T) rig {
	t.Helper()
	dir := filepath.Join(memory(t), "Ordination Grün")
	db := folderDB(filepath.Join(dir, "var", "pg"))
	for _, sub := range []string{"pg_wal", "pg_tblspc", "base"} {
		if err := os.MkdirAll(filepath.Join(string(db), sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.WriteFile(filepath.Join(string(db), "PG_VERSION"), []byte("18\n"), 0o600),
		os.WriteFile(filepath.Join(string(db), "base", "rows"), []byte("alte Notiz\n"), 0o600),
		os.WriteFile(filepath.Join(string(db), "base", "schema"), []byte("1"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return rig{Dir: dir, db: db}
}

// memory returns a folder that goes away with the test, in memory where the system has such a place: a SIGKILL does not
// tell disks from memory, and hundreds of runs that sync at every step would take minutes.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "updater")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (d folderDB) pid() string   { return filepath.Join(string(d), "postmaster.pid") }
func (d folderDB) data() string  { return string(d) }
func (d folderDB) running() bool { _, err := os.Stat(d.pid()); return err == nil }
func (d folderDB) start(context.Context) error {
	return os.WriteFile(d.pid(), nil, 0o600)
}
func (d folderDB) stop(context.Context) error { return remove(d.pid()) }
func (d folderDB) schema(context.Context) (int, error) {
	b, err := os.ReadFile(filepath.Join(string(d), "base", "schema"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}

func (d folderDB) migrate(ctx context.Context, to int) error {
	if !d.running() {
		return errors.New("the database does not run")
	}
	rows, err := d.rows()
	if err != nil {
		return err
	}
	if at, err := d.schema(ctx); err != nil || at == to {
		return err
	}
	// Two writes that do not belong together: as bad as a migration can be.
	return errors.Join(os.WriteFile(filepath.Join(string(d), "base", "rows"), []byte(strings.ReplaceAll(rows, "alte", "neue")), 0o600),
		os.WriteFile(filepath.Join(string(d), "base", "schema"), []byte(strconv.Itoa(to)), 0o600))
}

func (d folderDB) write(row string) error {
	rows, err := d.rows()
	return errors.Join(err, os.WriteFile(filepath.Join(string(d), "base", "rows"), []byte(rows+row+"\n"), 0o600))
}

func (d folderDB) rows() (string, error) {
	b, err := os.ReadFile(filepath.Join(string(d), "base", "rows"))
	return string(b), err
}
