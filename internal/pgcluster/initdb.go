package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// InitOptions says how the cluster is made.
type InitOptions struct {
	Settings     Settings
	UnsafeNoSync bool // tests only: do not wait until the files are on the disk
}

// Init makes the cluster: checksums on, readable for the group of the account, sorted by bytes with UTF-8 character
// classes so that no library update can corrupt an index, reachable only through the unix socket. The data directory
// appears whole or not at all; after a crash Init starts over. Error kinds: Precond (exists already, root without
// account, folder not empty), NoSpace.
func (c *Cluster) Init(ctx context.Context, o InitOptions) error {
	const op = "make the database cluster"
	if err := c.runnable(op); err != nil {
		return err
	}
	if err := c.checkPlace(op); err != nil {
		return err
	}
	if err := c.folders(); err != nil {
		return c.pathError(op, err)
	}
	tmp := c.Data + ".unverified"
	if err := removeLeftover(tmp); err != nil {
		return c.pathError(op, err)
	}
	if err := c.initdb(ctx, op, tmp, o.UnsafeNoSync); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	fresh := *c
	fresh.Data = tmp
	if err := fresh.adopt(); err != nil {
		return errors.Join(c.pathError(op, err), os.RemoveAll(tmp))
	}
	if err := fresh.Configure(ctx, o.Settings); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	if err := os.Remove(c.Data); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder may stand there
		return c.pathError(op, err)
	}
	if err := atomicfile.Rename(tmp, c.Data); err != nil {
		return c.pathError(op, err)
	}
	return nil
}

// removeLeftover removes what a killed run left behind; for a moment its last process may still write there.
func removeLeftover(dir string) error {
	var err error
	for range 40 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func (c *Cluster) checkPlace(op string) error {
	if c.Initialized() {
		return uerr.New(uerr.Precond, op, c.Data, errors.New("there is a cluster already"), "start it: practicectl db start")
	}
	entries, err := os.ReadDir(c.Data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c.pathError(op, err)
	}
	if len(entries) > 0 {
		return uerr.New(uerr.Precond, op, c.Data, errors.New("the folder is not empty and holds no cluster"), "move its content away, or use another --instance")
	}
	return nil
}

// folders makes the folders around the cluster and gives those it makes to the account.
func (c *Cluster) folders() error {
	for _, dir := range []string{filepath.Dir(c.Data), c.SocketDir, filepath.Dir(c.Log)} {
		if err := c.folder(dir); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) folder(dir string) error {
	if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
		return nil
	}
	if err := c.folder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	return c.give(dir)
}

// initdb runs the program on dir, with the best locale that the version and the machine offer.
func (c *Cluster) initdb(ctx context.Context, op, dir string, noSync bool) error {
	help, err := c.run(ctx, op, "initdb", "--help")
	if err != nil {
		return err
	}
	args := []string{"-D", dir, "-U", Superuser, "-E", "UTF8", "-k", "-g", "--auth-local=peer", "--auth-host=reject",
		"--no-instructions", "--text-search-config=simple"}
	if noSync {
		args = append(args, "--no-sync")
	}
	locales := [][]string{{"--locale=C", "--lc-ctype=C.UTF-8"}, {"--locale=C"}} // the second where the system has no C.UTF-8
	if strings.Contains(help, "--builtin-locale") {
		locales = [][]string{{"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"}}
	}
	for i, locale := range locales {
		if err := os.Mkdir(dir, 0o750); err != nil {
			return c.pathError(op, err)
		}
		if err := c.give(dir); err != nil {
			return c.pathError(op, err)
		}
		out, err := c.run(ctx, op, "initdb", append(args[:len(args):len(args)], locale...)...)
		if err == nil {
			return nil
		}
		if i+1 == len(locales) || !strings.Contains(out, "invalid locale") {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return c.pathError(op, err)
		}
	}
	return nil
}

// adopt makes the cluster's own configuration read conf.d, which is the only line ever added to it.
func (c *Cluster) adopt() error {
	name := filepath.Join(c.Data, "postgresql.conf")
	// What is read here is written back for the account to read: it must not name one of root's files.
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is not a plain file")})
	}
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if strings.Contains(string(old), includeLine) {
		return nil
	}
	return c.write("postgresql.conf", append(old, []byte("\n"+includeLine+"\n")...))
}

const includeLine = "include_dir = 'conf.d'"

// write puts a file into the data directory, readable for the group, owned by the account.
func (c *Cluster) write(name string, data []byte) error {
	full := filepath.Join(c.Data, filepath.FromSlash(name))
	if dir := filepath.Dir(full); dir != c.Data {
		if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// The folder belongs to the database's account, which must not lead root elsewhere.
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			return errors.Join(err, &fs.PathError{Op: "write into", Path: dir, Err: errors.New("it is a link or a file, not a folder")})
		}
		if err := c.give(dir); err != nil {
			return err
		}
	}
	if err := atomicfile.WriteBytes(full, 0o640, data); err != nil {
		return err
	}
	return c.give(full)
}

// pathError wraps an error of the file system.
func (c *Cluster) pathError(op string, err error) error {
	switch {
	case diskspace.IsFull(err):
		return uerr.New(uerr.NoSpace, op, c.Data, err, "free space on the disk of the data directory")
	case errors.Is(err, fs.ErrPermission):
		return uerr.New(uerr.Precond, op, c.Data, err, "check who owns the folder, or choose a --prefix of your own")
	case errors.Is(err, fs.ErrNotExist):
		return uerr.New(uerr.NotFound, op, c.Data, err, "make one: practicectl db init")
	}
	return uerr.New(uerr.Failed, op, c.Data, fmt.Errorf("%w", err), "")
}
