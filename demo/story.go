package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/demo/data"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/s3gateway"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// story is one telling, from the clinic's side.
type story struct {
	o       Options
	bench   *workbench
	r       progress.Reporter
	state   *state
	clinic  *clinic
	layout  paths.Layout
	summary Summary

	mirror     string // address of the LAN mirror
	port       int    // of the core server
	pgPort     int
	storeFlags []string
	people     *data.Practice
	before     fingerprint // the database before the last update
}

func newStory(o Options, w *workbench, r progress.Reporter) *story {
	home := filepath.Join(o.Dir, "clinic")
	show := o.Show
	if show == nil {
		show = func(string) {}
	}
	prefix := filepath.Join(home, "practice")
	return &story{o: o, bench: w, r: r, clinic: &clinic{dir: home, prefix: prefix, program: w.bootstrap(), show: show},
		layout: paths.Layout{Prefix: prefix, Instance: paths.DefaultInstance}, summary: Summary{Prefix: prefix, Password: password}}
}

// password is what everybody in the invented practice signs in with.
const password = "lindenhof-zeigt-alles"

// tell goes through the chapters. What was started so far is stopped by `demo down`, also after a failure.
func (s *story) tell(ctx context.Context) (*Summary, error) {
	began := time.Now()
	var err error
	if s.state, err = loadState(s.o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.clinic.dir, 0o755); err != nil {
		return nil, err
	}
	s.state.RunDirs = append(s.state.RunDirs, s.layout.Run())
	s.summary.Steps = append(s.summary.Steps, StepDone{"vendor: ceremony, build, sign, publish", s.vendorResult(), s.bench.Seconds})
	for _, chapter := range []struct {
		name string
		tell func(context.Context) (result string, err error)
	}{
		{"LAN mirror: sync, verify, serve", s.startMirror},
		{"install through the mirror", s.install},
		{"practice: load people, notes, invoices", s.fill},
		{"keys and offsite store", s.makeRepository},
		{"first backup", s.firstBackup},
		{"second backup, after changes", s.secondBackup},
		{"restore into a second instance", s.restoreAndCompare},
		{"update 1.0.0 to 1.1.0", s.update},
		{"update to 1.2.0, which is broken", s.brokenUpdate},
	} {
		at := time.Now()
		result, err := chapter.tell(ctx)
		if err != nil {
			return nil, fmt.Errorf("demo, %s: %w", chapter.name, err)
		}
		s.summary.add(chapter.name, result, at)
		s.r.Note("%s: %s (%.1f s)", chapter.name, result, time.Since(at).Seconds())
	}
	if err := s.ending(); err != nil {
		return nil, err
	}
	s.summary.Seconds = s.bench.Seconds + time.Since(began).Seconds()
	return &s.summary, nil
}

func (s *story) vendorResult() string {
	versions := make([]string, len(editions))
	for i, e := range editions {
		versions[i] = e.version
	}
	return "releases " + strings.Join(versions, ", ") + " signed by 2 of 3 managers"
}

// startMirror copies the vendor's repository and serves the copy on the LAN.
func (s *story) startMirror(ctx context.Context) (string, error) {
	dir := filepath.Join(s.clinic.dir, "mirror")
	if err := s.clinic.run(ctx, nil, "mirror", "init", "--dir", dir, "--source", s.bench.Vendor.Repo, "--channel", "stable"); err != nil {
		return "", err
	}
	var synced struct {
		Files int   `json:"fetched"`
		Bytes int64 `json:"fetched_bytes"`
	}
	if err := s.clinic.run(ctx, &synced, "mirror", "sync", "--dir", dir); err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	listen := "127.0.0.1:" + strconv.Itoa(port)
	p, err := s.clinic.detach("mirror", "serve", "--dir", dir, "--listen", listen)
	if err != nil {
		return "", err
	}
	if err := s.state.add(p); err != nil {
		return "", err
	}
	s.mirror = "http://" + listen
	if err := waitForPort(ctx, listen); err != nil {
		return "", uerr.New(uerr.Failed, "reach the mirror at", s.mirror, err, "see "+p.Log)
	}
	return fmt.Sprintf("%d files, %s, at %s", synced.Files, mebibytes(synced.Bytes), s.mirror), nil
}

// install puts database, core server and two of the client modules on the machine.
func (s *story) install(ctx context.Context) (string, error) {
	var err error
	if s.port, err = freePort(); err != nil {
		return "", err
	}
	if s.pgPort, err = freePort(); err != nil { // only names the socket
		return "", err
	}
	provider := "system"
	if s.bench.Bundled {
		provider = "bundled"
	}
	args := []string{"install", "--profile", "server", "--from", s.mirror, "--to", editions[0].version, "--module", "frontdesk", "--module", "clinical",
		"--provider", provider, "--db-port", strconv.Itoa(s.pgPort), "--listen", "127.0.0.1:" + strconv.Itoa(s.port),
		"--name", "Therapiezentrum Lindenhof", "--language", "de", "--yes"}
	if provider == "system" {
		args = append(args, "--db-bin", s.bench.PG.Dir)
	}
	if err := s.clinic.run(ctx, nil, args...); err != nil {
		return "", err
	}
	if err := s.rememberAgent(ctx); err != nil {
		return "", err
	}
	s.clinic.program = filepath.Join(s.layout.Component("practicectl"), "current", "bin", "practicectl"+exe)
	s.summary.URL = "https://localhost:" + strconv.Itoa(s.port)
	s.summary.CA = filepath.Join(s.layout.Cred(), "ca.crt")
	if _, err := os.Stat(filepath.Join(s.layout.Component("module-accounting"), "current")); err == nil {
		return "", errors.New("the module accounting is installed although nobody chose it")
	}
	return "database, server, frontdesk, clinical; not accounting", nil
}

// fill signs the administrator in for the first time and loads the invented practice.
func (s *story) fill(ctx context.Context) (string, error) {
	size := data.Full
	if s.o.Small {
		size = data.Small
	}
	location, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		return "", err
	}
	s.people = data.Generate(1, size, s.o.Now().In(location))
	if err := s.firstAdministrator(ctx); err != nil {
		return "", err
	}
	hash, err := hashPassword(ctx)
	if err != nil {
		return "", err
	}
	err = s.withDatabase(ctx, func(conn *pgx.Conn) error {
		l := &loader{p: s.people, password: hash}
		return l.load(ctx, conn, s.r)
	})
	if err != nil {
		return "", err
	}
	for _, i := range []int{0, 1, 2} {
		p := s.people.Staff[i]
		s.summary.SignIns = append(s.summary.SignIns, SignIn{Login: p.Login, Name: p.Name, Role: p.Role})
	}
	return fmt.Sprintf("%d patients, %d sessions with notes, %d appointments, %d invoices, %d documents",
		len(s.people.Patients), len(s.people.Sessions), len(s.people.Appointments), len(s.people.Invoices), len(s.people.Documents)), nil
}

// makeRepository makes two offline identities, starts the store and initialises the repository in it.
func (s *story) makeRepository(ctx context.Context) (string, error) {
	offline := filepath.Join(s.clinic.dir, "offline")
	if err := os.MkdirAll(offline, 0o700); err != nil {
		return "", err
	}
	where, err := s.startStore(ctx)
	if err != nil {
		return "", err
	}
	args := append([]string{"backup", "init"}, s.storeFlags...)
	for _, name := range []string{"owner", "safe-deposit"} {
		var key struct {
			Recipient string `json:"recipient"`
		}
		if err := s.clinic.run(ctx, &key, "key", "generate", "--out", filepath.Join(offline, name+".key")); err != nil {
			return "", err
		}
		args = append(args, "--recipient", key.Recipient)
	}
	if err := s.clinic.run(ctx, nil, append(args, "--owner-key-out", filepath.Join(offline, "owner-signing.pem"))...); err != nil {
		return "", err
	}
	return "two recipients, store " + where, nil
}

// startStore starts the S3 server on loopback, or takes the local folder.
func (s *story) startStore(ctx context.Context) (string, error) {
	if s.o.Store != "" {
		s.storeFlags = []string{"--store", s.o.Store}
		if _, err := os.Stat(s.o.Store); errors.Is(err, fs.ErrNotExist) { // what the demo makes, `demo down` removes
			s.state.RunDirs = append(s.state.RunDirs, s.o.Store)
			if err := s.state.save(); err != nil {
				return "", err
			}
		}
		return s.o.Store, nil
	}
	access, key := secret.New("demo-access"), secret.New("demo-secret-on-loopback")
	g, err := s3gateway.Start(ctx, s3gateway.Options{Binary: s.bench.Gateway, Dir: filepath.Join(s.o.Dir, "offsite"), AccessKey: access, SecretKey: key, Outlive: true})
	if err != nil {
		return "", err
	}
	if err := s.state.add(process{Name: "versitygw", PID: g.PID, Log: filepath.Join(s.o.Dir, "offsite", "versitygw.log")}); err != nil {
		return "", err
	}
	if err := s3.MakeBucket(ctx, s3.Options{Endpoint: g.Endpoint, Bucket: "offsite", AccessKey: access, SecretKey: key}, true); err != nil {
		return "", err
	}
	credentials := filepath.Join(s.clinic.dir, "store-credentials.toml")
	text := fmt.Sprintf("access_key_id = %q\nsecret_access_key = %q\n", access.Reveal(), key.Reveal())
	if err := os.WriteFile(credentials, []byte(text), 0o600); err != nil {
		return "", err
	}
	s.storeFlags = []string{"--store", "s3://offsite/lindenhof", "--endpoint", g.Endpoint, "--credentials-file", credentials}
	return "s3://offsite/lindenhof at " + g.Endpoint, nil
}

// snapshot is what the demo reads of a backup's result.
type snapshot struct {
	Uploaded int64 `json:"uploaded"`
	Snapshot struct {
		ID    string `json:"id"`
		Bytes int64  `json:"bytes"`
	} `json:"snapshot"`
}

func (s *story) firstBackup(ctx context.Context) (string, error) {
	var b snapshot
	if err := s.clinic.run(ctx, &b, "backup", "run"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s saved, %s uploaded", mebibytes(b.Snapshot.Bytes), mebibytes(b.Uploaded)), nil
}

func (s *story) secondBackup(ctx context.Context) (string, error) {
	if err := s.withDatabase(ctx, s.aDayPasses(ctx)); err != nil {
		return "", err
	}
	var b snapshot
	if err := s.clinic.run(ctx, &b, "backup", "run"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s saved, only %s uploaded", mebibytes(b.Snapshot.Bytes), mebibytes(b.Uploaded)), nil
}

// restoreAndCompare restores with an offline identity beside the running practice and compares every row.
func (s *story) restoreAndCompare(ctx context.Context) (string, error) {
	target := filepath.Join(s.clinic.dir, "restored")
	args := append([]string{"restore", "run", "latest", "--identity", filepath.Join(s.clinic.dir, "offline", "owner.key"),
		"--owner-key", filepath.Join(s.clinic.dir, "offline", "owner-signing.pem"), "--target", target}, s.storeFlags...)
	if err := s.clinic.run(ctx, nil, args...); err != nil {
		return "", err
	}
	var original, copied fingerprint
	if err := s.withDatabase(ctx, func(conn *pgx.Conn) (err error) { original, err = take(ctx, conn); return err }); err != nil {
		return "", err
	}
	second := &pgcluster.Cluster{Bin: s.bench.PG, Data: filepath.Join(target, "pg"), SocketDir: filepath.Join(target, "run"), Log: filepath.Join(target, "postgres.log"), Port: s.pgPort}
	if err := os.MkdirAll(second.SocketDir, 0o700); err != nil {
		return "", err
	}
	if err := second.Configure(ctx, pgcluster.Settings{Name: "restored"}); err != nil {
		return "", err
	}
	if err := second.Start(ctx); err != nil {
		return "", err
	}
	err := withConnection(ctx, second, func(conn *pgx.Conn) (err error) { copied, err = take(ctx, conn); return err })
	if err := errors.Join(err, second.Stop(context.WithoutCancel(ctx))); err != nil {
		return "", err
	}
	if diff := original.differences(copied); len(diff) > 0 {
		return "", uerr.New(uerr.Integrity, "compare the restored practice:", "", errors.New(strings.Join(diff, "; ")), "")
	}
	return fmt.Sprintf("%d rows in %d tables are the same, row by row", copied.rows(), len(copied)), nil
}

func (s *story) update(ctx context.Context) (string, error) {
	if err := s.clinic.run(ctx, nil, "update", "apply", "--to", "1.1.0", "--yes"); err != nil {
		return "", err
	}
	err := s.withDatabase(ctx, func(conn *pgx.Conn) error {
		var n int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM information_schema.columns WHERE table_schema = 'pm' AND column_name = 'preferred_name'`).Scan(&n); err != nil {
			return err
		}
		if n != 1 {
			return errors.New("the migration of 1.1.0 did not run")
		}
		var err error
		s.before, err = take(ctx, conn)
		return err
	})
	if err != nil {
		return "", err
	}
	return "schema migrated, healthy", s.expectVersion(ctx, "1.1.0")
}

func (s *story) brokenUpdate(ctx context.Context) (string, error) {
	err := s.clinic.run(ctx, nil, "update", "apply", "--to", "1.2.0", "--ready-within", "8s", "--yes")
	if exitOf(err) != uerr.Failed.Info().Exit {
		return "", fmt.Errorf("the broken release ended with exit %d, want 1: %w", exitOf(err), err)
	}
	var after fingerprint
	if err := s.withDatabase(ctx, func(conn *pgx.Conn) (err error) { after, err = take(ctx, conn); return err }); err != nil {
		return "", err
	}
	if diff := s.before.differences(after); len(diff) > 0 {
		return "", uerr.New(uerr.Integrity, "compare the practice after the failed update:", "", errors.New(strings.Join(diff, "; ")), "")
	}
	return "probe failed, 1.1.0 runs again by itself, all rows intact", s.expectVersion(ctx, "1.1.0")
}

func (s *story) withDatabase(ctx context.Context, fn func(*pgx.Conn) error) error {
	return withConnection(ctx, &pgcluster.Cluster{SocketDir: s.layout.Run(), Port: s.pgPort}, fn)
}

// withConnection connects as the role that migrations and bulk loads run as, which sees every row.
func withConnection(ctx context.Context, c *pgcluster.Cluster, fn func(*pgx.Conn) error) error {
	conn, err := c.Connect(ctx, pgcluster.RoleMigrate, pgcluster.DefaultDatabase)
	if err != nil {
		return err
	}
	return errors.Join(fn(conn), conn.Close(context.WithoutCancel(ctx)))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(errors.New("the system gave no TCP port"), l.Close())
	}
	return addr.Port, l.Close()
}

func waitForPort(ctx context.Context, addr string) error {
	var d net.Dialer
	for range 200 {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("nothing answers after 10 s")
}

func mebibytes(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
