package mirror

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"practicectl/internal/uerr"
	"practicectl/release"
)

const fullEnv = "PRACTICE_MIRROR_FULL"

// A small tmpfs in a mount namespace of a child process, which is this test again, is a disk that really fills up.
func TestDiskThatFillsUpKeepsTheOldState(t *testing.T) {
	if os.Getenv(fullEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), fullEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v (it needs the right to mount, as root or in a user namespace)\n%s", err, out)
		}
		return
	}
	disk := t.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(disk, unix.MNT_DETACH) }()
	s := newSite(t, "")
	s.dir = filepath.Join(disk, "mirror")
	if err := Init(s.dir, Settings{Source: s.Dir}); err != nil {
		t.Fatal(err)
	}
	s.o.Free = func(string) (int64, error) { return 1 << 40, nil } // the early check is passed; another program takes the space
	s.sync(t)
	s.Build(t, release.Stable, "1.1.0", nil, part(release.Server, noise(3<<20)))
	s.Sign(t, release.Stable)
	s.Publish(t)
	if _, err := Sync(t.Context(), s.dir, s.o); uerr.KindOf(err) != uerr.NoSpace {
		t.Fatalf("got %v", err)
	}
	if v := latest(t, s.Client(t, filepath.Join(s.dir, "repo"), nil)); v != "1.0.0" {
		t.Errorf("clients see %s", v)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	s.sync(t) // goes on with what was fetched
	if v := latest(t, s.Client(t, filepath.Join(s.dir, "repo"), nil)); v != "1.1.0" {
		t.Errorf("clients see %s", v)
	}
}
