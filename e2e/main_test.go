// Package e2e runs scripts against the built programs: each .txtar file in testdata keeps one promise and is headed by
// the acceptance rows it proves.
//
// The scripts run as an ordinary user against real PostgreSQL and S3 servers. The test program prepares what they need
// (bench_test.go), enters a mount namespace of its own, where small disks are, and runs itself again as that user.
//
//	go test ./e2e -run TestScripts/all/update -v     one script, with all that its programs say
//	E2E_KEEP=1 go test ./e2e                         keeps the folders of the scripts
package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	// The programs under test: with them here, go test knows that a change in them makes old results void.
	_ "practicectl/internal/cli"
	_ "practicectl/internal/daemon/client"
	_ "practicectl/internal/daemon/relay"
	_ "practicectl/internal/daemon/server"
)

// The stages of one run, in this variable: "" prepares, "mounts" makes the small disks, "scripts" runs the tests.
const (
	stageVariable = "E2E_STAGE"
	benchVariable = "E2E_BENCH"
)

func TestMain(m *testing.M) {
	runtime.LockOSThread() // the kernel's "end with the parent" is about the thread that started the child
	code, err := 0, error(nil)
	switch os.Getenv(stageVariable) {
	case "":
		code, err = prepareAndRun()
	case "mounts":
		code, err = withSmallDisks()
	case "scripts":
		code = m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// again starts this test program's next stage and returns its exit code.
func again(program, stage string, attributes *syscall.SysProcAttr, env ...string) (int, error) {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool { return strings.HasPrefix(a, "-test.testlogfile=") }) // the first stage's own
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(append(os.Environ(), stageVariable+"="+stage), env...)
	cmd.SysProcAttr = attributes
	attributes.Pdeathsig = syscall.SIGKILL
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return 1, fmt.Errorf("start the stage %q: %w", stage, err)
	}
	return cmd.ProcessState.ExitCode(), nil
}

// prepareAndRun makes the bench and runs the next stage in a mount namespace. An ordinary user gets a user namespace as
// well, since mounting takes one.
func prepareAndRun() (int, error) {
	dir, err := os.MkdirTemp("/var/tmp", "e2e")
	if err != nil {
		return 1, err
	}
	code, err := 1, os.Chmod(dir, 0o755)
	if err == nil {
		err = makeBench(dir)
	}
	if err == nil {
		attributes := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
			attributes.Cloneflags |= syscall.CLONE_NEWUSER
			attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
			attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
		}
		code, err = again(filepath.Join(dir, testProgram), "mounts", attributes, benchVariable+"="+dir, "E2E_UID="+strconv.Itoa(os.Geteuid()), "E2E_GID="+strconv.Itoa(os.Getegid()))
	}
	if os.Getenv("E2E_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "e2e: everything is kept in", dir)
		return code, err
	}
	return code, errors.Join(err, os.RemoveAll(dir))
}

// withSmallDisks mounts the small disks and runs the scripts as an ordinary user.
func withSmallDisks() (int, error) {
	b, err := readBench(os.Getenv(benchVariable))
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	for _, d := range smallDisks {
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Join(b.Dir, "disks", d.name), 0o755),
				unix.Mount("tmpfs", filepath.Join(b.Dir, "disks", d.name), "tmpfs", 0, "mode=0777,size="+d.size))
		}
	}
	if err != nil {
		return 1, fmt.Errorf("make small disks: %w", err)
	}
	attributes := &syscall.SysProcAttr{}
	if uid := os.Getenv("E2E_UID"); uid == "0" {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return 1, err
		}
		id, errU := strconv.ParseUint(nobody.Uid, 10, 32)
		group, errG := strconv.ParseUint(nobody.Gid, 10, 32)
		if err := errors.Join(errU, errG, os.Chown(b.work(), int(id), int(group))); err != nil {
			return 1, err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(id), Gid: uint32(group)}
	} else { // back to the user who began, in a namespace below this one
		id, errU := strconv.Atoi(uid)
		group, errG := strconv.Atoi(os.Getenv("E2E_GID"))
		if err := errors.Join(errU, errG); err != nil {
			return 1, err
		}
		attributes.Cloneflags = syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: id, HostID: 0, Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: group, HostID: 0, Size: 1}}
	}
	if err := os.Chdir(b.Dir); err != nil {
		return 1, err
	}
	return again(filepath.Join(b.Dir, testProgram), "scripts", attributes, "HOME="+b.work(), "TMPDIR="+b.work())
}

func readBench(dir string) (*bench, error) {
	data, err := os.ReadFile(filepath.Join(dir, "bench.json"))
	b := &bench{}
	if err == nil {
		err = json.Unmarshal(data, b)
	}
	return b, err
}
