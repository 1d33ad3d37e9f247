package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/backup"
	"practicectl/internal/lockfile"
	"practicectl/internal/paths"
)

func (u unprivileged) decode(v any, args ...string) {
	u.t.Helper()
	if err := json.Unmarshal([]byte(u.want(0, "", append(args, "--json")...)), v); err != nil {
		u.t.Fatalf("%v: %v", args, err)
	}
}

// folder makes a folder beside the instance that the account owns.
func (u unprivileged) folder(name string) string {
	u.t.Helper()
	path := filepath.Join(filepath.Dir(u.prefix), name)
	err := os.Mkdir(path, 0o700)
	if err == nil && u.account.RunAs != nil {
		err = os.Chown(path, int(u.account.RunAs.UID), int(u.account.RunAs.GID))
	}
	if err != nil {
		u.t.Fatal(err)
	}
	return path
}

func (u unprivileged) recipient(path string) string {
	u.t.Helper()
	var made keyMade
	u.decode(&made, "key", "generate", "--out", path)
	return made.Recipient
}

// TestO5_BackupAndRestoreFromTheCommandLine takes an instance from its first snapshot to a proved copy on what could be
// another machine, and tries the mistakes that people make on the way.
func TestO5_BackupAndRestoreFromTheCommandLine(t *testing.T) {
	u := newUnprivileged(t)
	media := u.folder("Stick")
	u.want(0, "", "db", "init", "--provider", "system", "--bin", bin(t, 15), "--port", "5441")
	u.want(0, "is running", "db", "start")
	u.want(10, "practicectl backup init", "backup", "run")

	owner := filepath.Join(media, "owner.pem")
	a, b := u.recipient(filepath.Join(media, "a.key")), u.recipient(filepath.Join(media, "b.key"))
	store := filepath.Join(u.folder("NAS"), "Sicherung")
	init := []string{"backup", "init", "--store", store, "--owner-key-out", owner, "--host", "praxis-1"}
	u.want(64, "at least two recipients", append(init, "--recipient", a)...)
	u.want(64, "--owner-key-out", "backup", "init", "--store", store, "--recipient", a, "--recipient", b)
	u.want(0, "", append(init, "--recipient", a, "--recipient", b, "--dry-run")...)
	if _, err := os.Stat(store); err == nil {
		t.Error("a dry run made the store")
	}
	u.want(0, "Next: practicectl backup run", append(init, "--recipient", a, "--recipient", b)...)
	u.want(18, "has a repository already", append(init, "--recipient", a, "--recipient", b)...)
	u.want(10, "no snapshots", "backup", "show", "latest")
	u.want(0, "would save", "backup", "run", "--dry-run")

	u.want(0, "uploaded", "backup", "run")
	u.want(0, "", "backup", "run", "--cron")
	var list backupListResult
	u.decode(&list, "backup", "list")
	if len(list.Snapshots) != 2 || list.Snapshots[1].Snapshot.Added > 64<<10 {
		t.Errorf("list: %+v", list)
	}
	u.want(0, "page by page", "backup", "verify", "--identity", filepath.Join(media, "a.key"))
	u.want(10, "", "backup", "show", "ffffffffffff")

	// A second run at the same time is refused, with the holder's name, and changes nothing.
	l, err := paths.New(u.prefix, "main")
	if err != nil {
		t.Fatal(err)
	}
	_, lock, err := lockfile.Acquire(t.Context(), l.Lock("backup"), "backup run", 0)
	if err != nil {
		t.Fatal(err)
	}
	u.want(11, "pid", "backup", "run")
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}

	u.restoreFromBareStore(media, store)

	// The recipients in the configuration are not those that the owner signed.
	config := filepath.Join(u.prefix, "etc/practice/main/practice.toml")
	data, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	swapped := strings.Replace(string(data), a, u.recipient(filepath.Join(media, "mallory.key")), 1)
	if err := os.WriteFile(config, []byte(swapped), 0o640); err != nil {
		t.Fatal(err)
	}
	u.want(13, "recipients", "backup", "run")
}

// restoreFromBareStore restores with nothing but the store and an identity.
func (u unprivileged) restoreFromBareStore(media, store string) {
	u.t.Helper()
	bare := u
	bare.prefix = u.folder("other machine")
	target := filepath.Join(u.folder("Platte"), "kopie")
	from := []string{"--store", store, "--target", target}
	bare.want(64, "--identity", append([]string{"restore", "run", "latest"}, from...)...)
	stranger := filepath.Join(media, "stranger.key")
	u.recipient(stranger)
	bare.want(12, "none of the given identities", append([]string{"restore", "run", "latest", "--identity", stranger}, from...)...)
	from = append(from, "--identity", filepath.Join(media, "b.key"))
	bare.want(10, "there is no repository", "restore", "run", "latest", "--identity", filepath.Join(media, "b.key"), "--store", media, "--target", target)
	bare.want(15, "", "restore", "run", "latest", "--identity", filepath.Join(media, "b.key"), "--store", store+"x", "--target", target)
	bare.want(0, "packs", "restore", "plan", "latest", "--store", store, "--identity", filepath.Join(media, "b.key"), "--owner-key", filepath.Join(media, "owner.pem"))
	bare.want(13, "another owner", append([]string{"restore", "run", "latest", "--owner-key", u.anotherOwner(media)}, from...)...)
	bare.want(12, "--owner-key-out", append([]string{"restore", "run", "latest", "--owner-key", stranger}, from...)...)
	bare.want(0, "free", append([]string{"restore", "plan", "latest"}, from...)...)
	var rep backup.RestoreReport
	bare.decode(&rep, append([]string{"restore", "run", "latest", "--prove", "always"}, from...)...)
	if !rep.Proved {
		u.t.Errorf("restore: %+v", rep)
	}
	bare.want(18, "overwrites nothing", append([]string{"restore", "run", "latest"}, from...)...)
	if _, err := os.Stat(filepath.Join(target, "files", u.prefix, "etc/practice/main/practice.toml")); err != nil {
		u.t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(target, "pg", "PG_VERSION")); err != nil {
		u.t.Error(err)
	}
	bare.restoreParts(from, target)
}

// restoreParts brings back in place what was restored before, and single files, and rows.
func (u unprivileged) restoreParts(from []string, target string) {
	u.t.Helper()
	run := func(args ...string) []string { return append(append([]string{"restore"}, args...), from...) }
	if err := os.Remove(filepath.Join(target, "pg", "global", "pg_control")); err != nil {
		u.t.Fatal(err)
	}
	u.want(19, "--yes", run("run", "latest", "--in-place", "--no-input")...)
	var plan backup.RestorePlan
	u.decode(&plan, run("plan", "latest", "--in-place")...)
	if !plan.InPlace || plan.Write == 0 || plan.Write > plan.Bytes/2 || plan.Estimate == nil {
		u.t.Errorf("plan in place: %d of %d bytes, %+v", plan.Write, plan.Bytes, plan.Estimate)
	}
	var rep backup.RestoreReport
	u.decode(&rep, run("run", "latest", "--in-place", "--yes", "--prove", "always")...)
	if !rep.InPlace || !rep.Proved || rep.Written > rep.Bytes/2 {
		u.t.Errorf("in place: %+v", rep)
	}
	u.want(10, "none is unfinished", run("undo")...)
	found := filepath.Join(filepath.Dir(target), "found")
	u.want(0, "restored", append(run("run", "latest", "--path", "files/*/*/*/etc/practice/main/practice.toml"), "--target", found)...)
	u.want(10, "nothing in the snapshot matches", append(run("run", "latest", "--path", "files/nothing"), "--target", found+"2")...)

	store := append([]string{}, from[:2]...)
	rows := append(append([]string{"restore", "table", "latest", "--table", "practice_ops.witness"}, store...), from[len(from)-2:]...)
	u.want(64, "--out", rows...)
	out := filepath.Join(filepath.Dir(target), "witness.csv")
	rows = append(rows, "--out", out, "--dir", filepath.Dir(target))
	u.want(0, "would write", append(rows, "--dry-run")...)
	u.want(0, "rows", rows...)
	if text, err := os.ReadFile(out); err != nil || strings.Count(string(text), "\n") < 2 {
		u.t.Errorf("rows: %q, %v", text, err)
	}
	u.want(18, "nothing is overwritten", rows...)
	document := append(append([]string{"restore", "document", "latest", "--id", "0190a1b2-0000-7000-8000-000000000001", "--out", out + "2"}, store...), from[len(from)-2:]...)
	u.want(10, "there is none in the snapshot", append(document, "--dir", filepath.Dir(target))...)
}

// anotherOwner writes the owner key of somebody else.
func (u unprivileged) anotherOwner(media string) string {
	t := u.t
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(media, "another-owner.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
