package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/pgcluster"
)

// lay makes the data directory: by initdb, or as a copy of the template, which costs a tenth.
func (s pgSetup) lay(ctx context.Context, c *pgcluster.Cluster) error {
	if s.fresh {
		return c.Init(ctx, pgcluster.InitOptions{Settings: s.settings, UnsafeNoSync: true})
	}
	template, err := s.template(ctx, c)
	if err != nil {
		return err
	}
	parent := filepath.Dir(c.Data)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return err
	}
	if err := own(parent, c.RunAs); err != nil {
		return err
	}
	if err := copyTree(template, c.Data, c.RunAs); err != nil {
		return err
	}
	return c.Configure(ctx, s.settings)
}

// templateFormat changes when Bootstrap or initdb's options change in a way that tests can see.
const templateFormat = 1

// template returns the data directory to copy, making it once per machine, version and account.
func (s pgSetup) template(ctx context.Context, c *pgcluster.Cluster) (string, error) {
	kind := "bare"
	if s.bootstrap {
		kind = "practice-" + pgcluster.BootstrapVersion()
	}
	dir := filepath.Join(templates(), fmt.Sprintf("pg-template-%s-%d-%s-%d", c.Bin.Version, templateFormat, kind, os.Geteuid()))
	_, lock, err := lockfile.Acquire(ctx, dir+".lock", "make the PostgreSQL template", 3*time.Minute)
	if err != nil {
		return "", err
	}
	defer lock.Release() //nolint:errcheck // the kernel frees it in any case
	if _, err := os.Stat(filepath.Join(dir, "PG_VERSION")); err == nil {
		return dir, nil
	}
	made := *c
	made.Data = c.Data + ".template"
	if err := made.Init(ctx, pgcluster.InitOptions{Settings: s.settings, UnsafeNoSync: true}); err != nil {
		return "", err
	}
	if s.bootstrap {
		if err := made.Start(ctx); err != nil {
			return "", err
		}
		if err := pgcluster.Bootstrap(ctx, &made, pgcluster.BootstrapOptions{}); err != nil {
			return "", err
		}
		if err := made.Stop(ctx); err != nil {
			return "", err
		}
	}
	if err := os.RemoveAll(dir + ".new"); err != nil {
		return "", err
	}
	if err := copyTree(made.Data, dir+".new", c.RunAs); err != nil {
		return "", err
	}
	return dir, os.Rename(dir+".new", dir)
}

// templates is where templates are kept: with the tools, or where another account made that folder, in one of our own.
func templates() string {
	if err := os.MkdirAll(ToolsDir(), 0o755); err == nil {
		if f, err := os.CreateTemp(ToolsDir(), "probe-"); err == nil {
			_, _ = f.Close(), os.Remove(f.Name()) // a leftover is empty
			return ToolsDir()
		}
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("practicectl-cache-%d", os.Geteuid()))
}

// own gives a path to the account; nil leaves it alone.
func own(path string, account *pgcluster.Account) error {
	if account == nil {
		return nil
	}
	return os.Lchown(path, int(account.UID), int(account.GID))
}

// copyTree copies a data directory, handing every entry to the account.
func copyTree(from, to string, account *pgcluster.Account) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			err = os.Mkdir(dst, info.Mode().Perm())
		} else {
			err = copyFile(path, dst, info.Mode().Perm())
		}
		if err != nil {
			return err
		}
		return own(dst, account)
	})
}

// copyFile copies one file; the kernel shares the blocks where the file system can.
func copyFile(from, to string, perm fs.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close() // only read
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
