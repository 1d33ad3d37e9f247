package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

// machine is a practice's server with a database, made by practicectl itself, and a store. All commands run as the account that
// owns the database.
type machine struct {
	dir        string
	store      *store
	credential *syscall.Credential // nil: the account of the test
	programs   string              // folder of the built practicectl
	layout     paths.Layout
	cluster    *pgcluster.Cluster
	major      int
	pristine   string    // a copy of the configuration before any backup init
	turn       *practice // whose repository the machine is configured for; nil: nobody's
}

// newMachine makes and starts a database of a major version.
func newMachine(t testing.TB, s *store, major int) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "peers")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &machine{dir: dir, store: s, major: major}
	var account *pgcluster.Account
	if os.Geteuid() == 0 {
		account, err = pgcluster.LookupAccount("nobody")
		if err != nil {
			t.Fatal(err)
		}
		m.credential = &syscall.Credential{Uid: account.UID, Gid: account.GID}
		if err := os.Chown(dir, int(account.UID), int(account.GID)); err != nil {
			t.Fatal(err)
		}
	}
	m.build(t)
	if m.layout, err = paths.New(filepath.Join(dir, "x"), paths.DefaultInstance); err != nil {
		t.Fatal(err)
	}
	bin, err := pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{Cache: testenv.ToolsDir(), Major: major})
	if err != nil {
		t.Fatal(err)
	}
	m.practicectl(t, "db", "init", "--provider", "system", "--bin", bin.Dir)
	m.cluster = pgcluster.At(m.layout, bin, pgcluster.DefaultPort)
	settings := pgcluster.Settings{Memory: 2 << 30, Extra: map[string]string{"fsync": "off", "max_wal_size": "4GB", "archive_mode": "on",
		"archive_command": "test ! -e " + m.archiving() + " || " + strings.Join(m.pgbackrest("archive-push"), " ") + " %p"}}
	if account != nil {
		m.cluster.RunAs = account
		settings.Users = []pgcluster.UserMap{{Account: "root", Role: pgcluster.Superuser}}
	}
	if err := m.cluster.Configure(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	m.practicectl(t, "db", "start")
	m.pristine = filepath.Join(dir, "pristine")
	m.run(t, nil, "", "mv", m.layout.Etc(), m.pristine)
	t.Cleanup(func() { // without waiting for an archive that may be gone
		m.run(t, nil, "", filepath.Join(bin.Dir, "pg_ctl"), "stop", "-m", "immediate", "-D", m.cluster.Data)
	})
	return m
}

// build compiles practicectl. With BENCH_PROFILE it gets another main, which leaves CPU profiles in that folder.
func (m *machine) build(t testing.TB) {
	t.Helper()
	m.programs = filepath.Join(m.dir, "bin")
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", m.programs + "/", "../../cmd/practicectl"}
	if os.Getenv("BENCH_PROFILE") != "" {
		args = []string{"build", "-overlay", m.profiled(t), "-o", m.programs + "/", "../../cmd/practicectl"}
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// profiled writes an overlay for the compiler in which the main of practicectl profiles itself.
func (m *machine) profiled(t testing.TB) string {
	t.Helper()
	original, err := filepath.Abs("../../cmd/practicectl/main.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("import (", "import (\n\t\"fmt\"\n\t\"runtime/pprof\"", "\tos.Exit(cli.Main(", `	profile, err := os.Create(fmt.Sprintf("%s/%s-%d.pprof", os.Getenv("BENCH_PROFILE"), os.Getenv("BENCH_STEP"), os.Getpid()))
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(profile); err != nil {
		panic(err)
	}
	leave := func(code int) { pprof.StopCPUProfile(); _ = profile.Close(); os.Exit(code) }
	leave(cli.Main(`).Replace(string(source))
	changed := filepath.Join(m.dir, "main.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	m.writeFile(t, changed, text)
	m.writeFile(t, filepath.Join(m.dir, "overlay.json"), string(overlay))
	return filepath.Join(m.dir, "overlay.json")
}

func (m *machine) writeFile(t testing.TB, path, text string) {
	t.Helper()
	err := os.WriteFile(path, []byte(text), 0o600)
	if err == nil && m.credential != nil {
		err = os.Chown(path, int(m.credential.Uid), int(m.credential.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// practicectl runs the built program on the machine.
func (m *machine) practicectl(t testing.TB, args ...string) (cost, []byte) {
	t.Helper()
	step := strings.ReplaceAll(strings.Join(args[:2], "-"), "/", "")
	return m.run(t, []string{"PRACTICE_PREFIX=" + m.layout.Prefix, "SSL_CERT_FILE=" + m.store.CAFile, "BENCH_PROFILE=" + os.Getenv("BENCH_PROFILE"), "BENCH_STEP=" + step},
		"", append([]string{filepath.Join(m.programs, "practicectl")}, args...)...)
}

func (m *machine) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), m.cluster.ConnString(pgcluster.Superuser, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execSQL(t testing.TB, conn *pgx.Conn, sql ...string) {
	t.Helper()
	for _, s := range sql {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// data says what lies in the database, in pages of 8 KiB.
type data struct {
	Name  string
	Scale int // of pgbench: 100,000 accounts or about 15 MB each
	Notes int // MB of session notes
}

// mixed compresses about 8:1, text about 2.5:1, which is closer to a practice. megabytes is their size.
func mixed(megabytes int) data {
	return data{Name: "mixed", Scale: max(1, megabytes*7/10/15), Notes: megabytes * 3 / 10}
}
func text(megabytes int) data {
	return data{Name: "text", Scale: max(1, megabytes/20/15), Notes: megabytes * 19 / 20}
}

// fill makes the database's content.
func (m *machine) fill(t testing.TB, d data) {
	t.Helper()
	m.run(t, nil, "", m.pgbench("-i", "-q", "-s", fmt.Sprint(d.Scale))...)
	conn := m.connect(t)
	execSQL(t, conn, `CREATE TABLE session_note (id bigint PRIMARY KEY, patient int NOT NULL, held timestamptz NOT NULL, body text NOT NULL)`,
		`ALTER TABLE session_note ALTER body SET STORAGE external`)
	n := &notes{rng: rand.New(rand.NewPCG(7, 11)), left: d.Notes << 20}
	n.words()
	if _, err := conn.CopyFrom(t.Context(), pgx.Identifier{"session_note"}, []string{"id", "patient", "held", "body"}, n); err != nil {
		t.Fatal(err)
	}
	execSQL(t, conn, `CREATE INDEX ON session_note (patient, held)`, `VACUUM FREEZE`, `CHECKPOINT`)
}

// change runs pgbench for a while and then changes one row on each of one page in a hundred.
func (m *machine) change(t testing.TB, round int) {
	t.Helper()
	m.run(t, nil, "", m.pgbench("-n", "-c", "2", "-t", "1500", "--random-seed", fmt.Sprint(round))...)
	conn := m.connect(t)
	execSQL(t, conn, fmt.Sprintf(`UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE ctid = ANY (SELECT format('(%%s,1)', b)::tid FROM generate_series(%d, pg_relation_size('pgbench_accounts') / 8192 - 1, 100) b)`, round),
		fmt.Sprintf(`UPDATE session_note SET patient = patient + 1 WHERE ctid = ANY (SELECT format('(%%s,1)', b)::tid FROM generate_series(%d, pg_relation_size('session_note') / 8192 - 1, 100) b)`, round),
		`CHECKPOINT`)
}

func (m *machine) pgbench(args ...string) []string {
	return append([]string{"/usr/lib/postgresql/15/bin/pgbench", "-h", m.cluster.SocketDir, "-p", fmt.Sprint(m.cluster.Port), "-U", pgcluster.Superuser}, append(args, "postgres")...)
}

// notes invents what a therapist writes: words of a language with the usual few that come often.
type notes struct {
	rng        *rand.Rand
	vocabulary []string
	zipf       *rand.Zipf
	left       int
	id         int64
	body       string
}

func (n *notes) words() {
	n.zipf = rand.NewZipf(n.rng, 1.07, 6, 39999)
	for range 40000 {
		var w strings.Builder
		for range 1 + n.rng.IntN(4) {
			w.WriteByte("bdfghklmnprstwz"[n.rng.IntN(15)])
			w.WriteByte("aeiou"[n.rng.IntN(5)])
			if n.rng.IntN(2) == 0 {
				w.WriteByte("nrstlmch"[n.rng.IntN(8)])
			}
		}
		n.vocabulary = append(n.vocabulary, w.String())
	}
}

// Next makes a note; with Values and Err it is what COPY asks for.
func (n *notes) Next() bool {
	var b strings.Builder
	for size := 200 + n.rng.IntN(1500); b.Len() < size; {
		b.WriteString(n.vocabulary[n.zipf.Uint64()])
		b.WriteString([]string{" ", " ", " ", " ", " ", ", ", ". "}[n.rng.IntN(7)])
	}
	n.body = b.String()
	n.id++
	n.left -= len(n.body) + 60
	return n.left > 0
}

// Values is one row.
func (n *notes) Values() ([]any, error) {
	return []any{n.id, n.rng.IntN(4000), time.Unix(1.7e9+n.id*600, 0), n.body}, nil
}

// Err is never: inventing does not fail.
func (n *notes) Err() error { return nil }
