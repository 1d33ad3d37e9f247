package updater

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"practicectl/internal/uerr"
	"practicectl/release/publish"
)

const fullEnv = "PRACTICE_UPDATER_FULL"

// A disk that fills up is a small tmpfs, mounted in a mount namespace of a child process so that it goes away with it. The
// child is this test again; what it found comes back as its exit status and output.
func TestFullDiskWhileStagingOrCopyingEndsWith16AndChangesNothing(t *testing.T) {
	if arg := os.Getenv(fullEnv); arg != "" {
		fullDisk(t, arg)
		return
	}
	r, v := newShopRig(t)
	big := make([]byte, 3<<20)
	rand.Read(big) // does not compress
	v.Clock = v.Clock.Add(1)
	v.Build(t, "stable", "1.1.0", nil, withFile(t, parts(t, "1.1.0", 2, false), "server", big)...)
	v.Sign(t, "stable")
	v.Publish(t)
	r.shop.Clock = v.Clock
	for _, where := range []string{"opt", "downloads", "database"} {
		arg, err := json.Marshal(struct {
			Where string
			Shop  *shop
		}{where, r.shop})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), fullEnv+"="+string(arg))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v (it needs the right to mount, as root or in a user namespace)\n%s", where, err, out)
		}
	}
}

func withFile(t *testing.T, all []publish.Component, component string, content []byte) []publish.Component {
	t.Helper()
	for _, c := range all {
		if c.Name == component {
			if err := os.WriteFile(filepath.Join(fmt.Sprint(c.Files), "data"), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func fullDisk(t *testing.T, arg string) {
	var what struct {
		Where string
		Shop  *shop
	}
	if err := json.Unmarshal([]byte(arg), &what); err != nil {
		t.Fatal(err)
	}
	r := newFolderRig(t)
	r.shop = what.Shop
	small := func(dir string) {
		t.Helper()
		err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	switch what.Where {
	case "opt":
		small(r.path("opt"))
	case "downloads":
		small(r.path("var", "downloads"))
	case "database":
		// The cluster fits once into its disk, not twice.
		rows := filepath.Join(r.db.data(), "base", "large")
		aside := r.path("aside")
		if err := os.Rename(r.path("var"), aside); err != nil {
			t.Fatal(err)
		}
		small(r.path("var"))
		err := errors.Join(os.CopyFS(r.path("var"), os.DirFS(aside)), os.WriteFile(rows, make([]byte, 1200<<10), 0o600), os.Symlink(r.path("down"), r.path("var", "downloads")), os.Mkdir(r.path("down"), 0o755))
		if err != nil {
			t.Fatal(err)
		}
	}
	r.install(t, "1.0.0", 1, false)
	r.live(t, "1.0.0")
	before := r.snapshot(t)
	u := r.updater(nil)
	// The numbers say that there is room: what happens then is the kernel's ENOSPC in the middle.
	free := u.o.Free
	u.o.Free = func(string) (int64, error) { return 1 << 40, nil }
	_, err := u.Update(t.Context(), Request{})
	if uerr.ExitCode(err) != 16 || uerr.HintOf(err) == "" {
		t.Fatalf("exit %d: %v, hint %q", uerr.ExitCode(err), err, uerr.HintOf(err))
	}
	if !strings.Contains(err.Error(), "no space left") {
		t.Errorf("message: %v", err)
	}
	r.settled(t, "1.0.0")
	if err := errors.Join(u.discard(r.transition("1.0.0", "1.1.0"))); err != nil {
		t.Fatal(err)
	}
	if after := r.snapshot(t); !maps.Equal(before, after) {
		t.Error("something was changed")
	}
	// With honest numbers nothing is even begun.
	u.o.Free = free
	if _, err := u.Update(t.Context(), Request{}); uerr.ExitCode(err) != 16 || !strings.Contains(err.Error(), "MB free") {
		t.Errorf("exit %d: %v", uerr.ExitCode(err), err)
	}
	r.settled(t, "1.0.0")
}
