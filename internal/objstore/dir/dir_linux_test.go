package dir_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/uerr"
)

const fullDisk = "DIR_TEST_FULL_DISK"

// TestDiskFull runs itself again in a mount namespace of its own, where a folder is a disk of 1 MiB.
func TestDiskFull(t *testing.T) {
	if path := os.Getenv(fullDisk); path != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil { // seen by nobody else
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=1m"); err != nil {
			t.Fatal(err)
		}
		diskFull(t, path)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
	cmd.Env = append(os.Environ(), fullDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v (it needs the right to mount, as root or in a user namespace)\n%s", err, out)
	}
}

func diskFull(t *testing.T, path string) {
	ctx := context.Background()
	st, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, size int) error {
		_, err := st.Put(ctx, key, bytes.NewReader(make([]byte, size)), int64(size), objstore.PutOptions{})
		return err
	}
	if err := put("a", 600_000); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"b", "a"} {
		err := put(key, 700_000)
		if !errors.Is(err, objstore.ErrNoSpace) || uerr.KindOf(err) != uerr.NoSpace || uerr.HintOf(err) == "" {
			t.Fatalf("kind %v: %v", uerr.KindOf(err), err)
		}
	}
	if info, err := st.Stat(ctx, "a"); err != nil || info.Size != 600_000 {
		t.Errorf("the old object: %+v, %v", info, err)
	}
	if _, err := st.Stat(ctx, "b"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("half an object: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(path, ".tmp", "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := put("c", 300_000); err != nil {
		t.Errorf("the space of the failed one was not freed: %v", err)
	}
}

func TestOnlyTheFolderIsReached(t *testing.T) {
	base := t.TempDir()
	outside, path := filepath.Join(base, "outside"), filepath.Join(base, "Sicherung der Praxis Müller")
	for _, d := range []string{outside, path} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"up": outside, "abs": "/etc", "file": filepath.Join(outside, "secret")} {
		if err := os.Symlink(target, filepath.Join(path, link)); err != nil {
			t.Fatal(err)
		}
	}
	st, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, key := range []string{"up/secret", "abs/hostname", "file", "up/new"} {
		if r, err := st.Get(ctx, key, 0, -1); err == nil {
			_ = r.Close()
			t.Errorf("read %s", key)
		}
		if _, err := st.Stat(ctx, key); err == nil {
			t.Errorf("stat %s", key)
		}
		for _, o := range []objstore.PutOptions{{IfAbsent: true}, {}} {
			_, err := st.Put(ctx, key, strings.NewReader("x"), 1, o)
			if err == nil && key != "file" { // replacing the link itself stays inside
				t.Errorf("wrote %s", key)
			}
		}
		_ = st.Delete(ctx, key) // must not reach outside; checked below
	}
	if got, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(got) != "s" {
		t.Errorf("the file outside: %q, %v", got, err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("outside there are now %v", entries)
	}
	for info, err := range st.List(ctx, "") {
		if err != nil || strings.HasPrefix(info.Key, "up") || strings.HasPrefix(info.Key, "abs") {
			t.Errorf("listed %+v %v", info, err)
		}
	}
}

func TestFolderThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usb")
	if _, err := dir.Open(path); uerr.KindOf(err) != uerr.Unreachable || !strings.Contains(uerr.HintOf(err), "mkdir -p") {
		t.Errorf("%v, hint %q", err, uerr.HintOf(err))
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the folder was made")
	}
	if _, err := dir.Create(filepath.Join(path, "a", "b")); uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("without a parent: %v", err)
	}
	st, err := dir.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Stat(context.Background(), "k"); uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("after it went away: %v", err)
	}
	if _, err := st.Put(context.Background(), "k", strings.NewReader("x"), 1, objstore.PutOptions{}); uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("after it went away: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Open(file); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("a file: %v", err)
	}
}
