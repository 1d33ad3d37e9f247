package testenv

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inNamespace = "PRACTICE_TEST_MOUNTS"

// OwnMounts runs the test once more in a mount namespace of its own, where it may mount small disks that go away with it;
// an ordinary user gets a user namespace as well. It tells whether this is that run.
func OwnMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// SmallDisk makes a folder below parent that is a disk of a size such as "4m"; other accounts may enter it.
func SmallDisk(t *testing.T, parent, size string) string {
	t.Helper()
	path := filepath.Join(parent, "klein")
	err := errors.Join(os.Mkdir(path, 0o755), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", path, "tmpfs", 0, "size="+size+",mode=0755"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}
