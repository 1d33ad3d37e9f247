package peers

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/pgcluster"
)

// tool is a backup program that is compared. Each method is one job, measured from the outside.
type tool interface {
	name() string
	start(t testing.TB, round int)                   // a new, empty repository
	backup(t testing.TB) cost                        // what is new since the last one
	restore(t testing.TB, target string) cost        // into an empty folder
	database(target string) string                   // where restore has put the data folder
	repair(t testing.TB, target string) (cost, bool) // in place, over a copy of which pages are destroyed; false: it cannot
	verify(t testing.TB) cost                        // every byte that is stored
}

// practice is practicectl.
type practice struct {
	*machine
	label    string
	flags    []string // of backup run
	home     string   // keeps what the machine knows of this one's repository while another one's turn it is
	identity string
}

func (p *practice) name() string { return p.label }

// parts are what a machine knows of its repository.
func (m *machine) parts() []string { return []string{m.layout.Etc(), m.layout.BackupCache()} }

// leave puts aside what the machine knows of the repository that it is configured for.
func (m *machine) leave(t testing.TB) {
	t.Helper()
	if m.turn == nil {
		return
	}
	for _, part := range m.parts() {
		m.run(t, nil, "", "mv", part, filepath.Join(m.turn.home, filepath.Base(part)))
	}
	m.turn = nil
}

// take makes the repository of p the one that the machine is configured for.
func (p *practice) take(t testing.TB) {
	t.Helper()
	if p.turn == p {
		return
	}
	p.leave(t)
	for _, part := range p.parts() {
		p.run(t, nil, "", "mv", filepath.Join(p.home, filepath.Base(part)), part)
	}
	p.turn = p
}

func (p *practice) start(t testing.TB, round int) {
	t.Helper()
	p.leave(t)
	home := filepath.Join(p.dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(p.label, " ", ""), round))
	p.run(t, nil, "", "mkdir", home)
	p.run(t, nil, "", "cp", "-a", p.pristine, p.layout.Etc())
	p.run(t, nil, "", "mkdir", "-p", p.layout.BackupCache())
	p.home, p.turn = home, p
	p.identity = filepath.Join(home, "identity.key")
	credentials := filepath.Join(home, "s3.toml")
	p.writeFile(t, credentials, fmt.Sprintf("access_key_id = %q\nsecret_access_key = %q\n", p.store.AccessKey, p.store.SecretKey))
	init := []string{"backup", "init", "--store", "s3://" + p.store.Bucket + "/" + filepath.Base(home), "--endpoint", p.store.Line,
		"--credentials-file", credentials, "--owner-key-out", filepath.Join(home, "owner.pem")}
	for _, file := range []string{p.identity, filepath.Join(home, "second.key")} {
		_, out := p.practicectl(t, "key", "generate", "--out", file, "--json")
		var made struct{ Recipient string }
		if err := json.Unmarshal(out, &made); err != nil {
			t.Fatal(err)
		}
		init = append(init, "--recipient", made.Recipient)
	}
	p.practicectl(t, init...)
}

func (p *practice) backup(t testing.TB) cost {
	t.Helper()
	p.take(t)
	c, _ := p.practicectl(t, append([]string{"backup", "run", "--cron"}, p.flags...)...)
	return c
}

func (p *practice) restore(t testing.TB, target string) cost {
	t.Helper()
	p.take(t)
	c, _ := p.practicectl(t, "restore", "run", "latest", "--identity", p.identity, "--target", target, "--prove", "never", "--cron")
	return c
}

func (p *practice) database(target string) string { return filepath.Join(target, "pg") }

func (p *practice) repair(t testing.TB, target string) (cost, bool) {
	t.Helper()
	p.take(t)
	c, _ := p.practicectl(t, "restore", "run", "latest", "--identity", p.identity, "--target", target, "--in-place", "--yes", "--prove", "never", "--cron")
	return c, true
}

func (p *practice) verify(t testing.TB) cost {
	t.Helper()
	p.take(t)
	c, _ := p.practicectl(t, "backup", "verify", "--identity", p.identity, "--cron")
	return c
}

// pgBackRest is Debian's, with encryption, zstd and two workers.
type pgBackRest struct{ *machine }

// archiving is a file that says that pgBackRest has a repository, to which PostgreSQL then sends its log.
func (m *machine) archiving() string { return filepath.Join(m.dir, "pgbackrest.conf") }

func (m *machine) pgbackrest(args ...string) []string {
	return append([]string{"pgbackrest", "--config=" + m.archiving(), "--stanza=practice"}, args...)
}

func (b pgBackRest) name() string { return "pgBackRest" }

func (b pgBackRest) start(t testing.TB, round int) {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(b.store.Line, "https://"), ":")
	b.writeFile(t, b.archiving(), strings.Join([]string{"[global]",
		"repo1-type=s3", "repo1-s3-bucket=" + b.store.Bucket, "repo1-s3-endpoint=localhost", // it takes no address for a name
		"repo1-storage-port=" + port, "repo1-s3-region=us-east-1",
		"repo1-s3-key=" + b.store.AccessKey, "repo1-s3-key-secret=" + b.store.SecretKey, "repo1-s3-uri-style=path", "repo1-storage-ca-file=" + b.store.CAFile,
		fmt.Sprintf("repo1-path=/pgbackrest-%d", round), "repo1-cipher-type=aes-256-cbc", "repo1-cipher-pass=correct-horse-battery-staple", "repo1-bundle=y",
		"repo1-retention-full=9", "compress-type=zst", "process-max=2", "start-fast=y", "log-level-console=warn", "log-level-file=off",
		"lock-path=" + filepath.Join(b.dir, "lock"), "spool-path=" + filepath.Join(b.dir, "spool"), "log-path=" + b.dir,
		"[practice]", "pg1-path=" + b.cluster.Data, "pg1-socket-path=" + b.cluster.SocketDir, fmt.Sprintf("pg1-port=%d", b.cluster.Port), "pg1-user=" + pgcluster.Superuser, ""}, "\n"))
	b.run(t, nil, "", b.pgbackrest("stanza-create")...)
}

func (b pgBackRest) backup(t testing.TB) cost {
	t.Helper()
	c, _ := b.run(t, nil, "", b.pgbackrest("backup", "--type=incr")...) // the first one is full by itself
	return c
}

func (b pgBackRest) restore(t testing.TB, target string) cost {
	t.Helper()
	b.run(t, nil, "", "mkdir", "-m", "700", target)
	c, _ := b.run(t, nil, target, b.pgbackrest("restore", "--pg1-path="+target)...)
	return c
}

func (b pgBackRest) database(target string) string { return target }

func (b pgBackRest) repair(t testing.TB, target string) (cost, bool) {
	t.Helper()
	c, _ := b.run(t, nil, target, b.pgbackrest("restore", "--delta", "--pg1-path="+target)...)
	return c, true
}

func (b pgBackRest) verify(t testing.TB) cost {
	t.Helper()
	c, _ := b.run(t, nil, "", b.pgbackrest("verify")...)
	return c
}

// restic is Debian's, which reads the data folder while PostgreSQL is in backup mode.
type restic struct {
	*machine
	env []string
}

func (r *restic) name() string { return "restic" }

func (r *restic) line(args ...string) []string {
	return append([]string{"restic", "--quiet", "--cacert", r.store.CAFile}, args...)
}

func (r *restic) start(t testing.TB, round int) {
	t.Helper()
	r.env = []string{fmt.Sprintf("RESTIC_REPOSITORY=s3:%s/%s/restic-%d", r.store.Line, r.store.Bucket, round), "RESTIC_PASSWORD=correct horse battery staple",
		"AWS_ACCESS_KEY_ID=" + r.store.AccessKey, "AWS_SECRET_ACCESS_KEY=" + r.store.SecretKey, "RESTIC_CACHE_DIR=" + filepath.Join(r.dir, fmt.Sprintf("restic-%d", round))}
	r.run(t, r.env, "", r.line("init", "--repository-version", "2")...)
}

func (r *restic) backup(t testing.TB) cost {
	t.Helper()
	conn := r.connect(t)
	begin, end := `SELECT pg_backup_start('restic', true)`, `SELECT pg_backup_stop(false)`
	execSQL(t, conn, begin)
	c, _ := r.run(t, r.env, "", r.line("backup", "--exclude", filepath.Join(r.cluster.Data, "pg_wal")+"/*", "--exclude", "pg_internal.init*", r.cluster.Data)...)
	execSQL(t, conn, end)
	return c
}

func (r *restic) restore(t testing.TB, target string) cost {
	t.Helper()
	c, _ := r.run(t, r.env, target, r.line("restore", "latest", "--target", target)...)
	return c
}

func (r *restic) database(target string) string { return filepath.Join(target, r.cluster.Data) }

// repair restores again: this version of restic writes every file, whatever lies there.
func (r *restic) repair(t testing.TB, target string) (cost, bool) {
	t.Helper()
	return r.restore(t, target), true
}

func (r *restic) verify(t testing.TB) cost {
	t.Helper()
	c, _ := r.run(t, r.env, "", r.line("check", "--read-data")...)
	return c
}
