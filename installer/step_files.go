package installer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/internal/atomicfile"
	"practicectl/internal/nodeid"
	"practicectl/internal/steps"
	"practicectl/internal/uerr"
	"practicectl/release/archive"
)

// folders makes the instance's folders and gives it its lasting name. They stay when the installation is undone: they
// are empty, and the name may be known already.
func (j *job) folders() steps.Step {
	l := j.i.o.Layout
	modes := map[string]fs.FileMode{l.Etc(): 0o750, l.Cred(): 0o700, l.Var(): 0o750, l.Log(): 0o750, l.Run(): 0o750, l.Receipts(): 0o750}
	return steps.Func{
		ID: "folders", Action: "make the folders of instance " + l.Instance + " under " + l.Prefix,
		On: func(context.Context) (steps.State, error) {
			for dir, mode := range modes {
				info, err := os.Stat(dir)
				if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Perm()&^mode != 0 {
					return steps.Change, nil
				}
				if err != nil {
					return steps.Blocked, cannot("look at", dir, err)
				}
			}
			id, err := nodeid.Read(nodeid.Path(l))
			if err != nil || id == "" {
				return steps.Change, err
			}
			return steps.Satisfied, nil
		},
		Do: func(context.Context) error {
			for dir, mode := range modes {
				if err := os.MkdirAll(dir, mode); err != nil {
					return cannot("make", dir, err)
				}
				if err := os.Chmod(dir, mode); err != nil {
					return cannot("protect", dir, err)
				}
			}
			_, err := nodeid.Ensure(nodeid.Path(l))
			return err
		},
	}
}

// stage brings one version of a component to its place, not yet live. Files of it that were changed are put right.
func (j *job) stage(p Package) steps.Step {
	s := j.i.slots(p.Name)
	return steps.Func{
		ID: "stage " + p.Name + " " + p.Version, Action: "fetch and unpack " + p.Name + " " + p.Version,
		On: func(ctx context.Context) (steps.State, error) {
			if !s.Has(p.Version) || archive.VerifyDir(s.Path(p.Version)) != nil {
				return steps.Change, nil
			}
			genuine, err := j.genuine(ctx, p)
			if err != nil {
				return steps.Blocked, err
			}
			if !genuine {
				return steps.Change, nil
			}
			return steps.Satisfied, nil
		},
		Do: func(ctx context.Context) error {
			if s.Has(p.Version) {
				return j.repair(ctx, p)
			}
			return s.Stage(ctx, p.Version, func(dir string) error { return j.unpack(ctx, p, dir) })
		},
		// Another instance may use the component too: what is live stays.
		Revert: func(context.Context) error {
			if live, err := s.Current(); err == nil && live == p.Version {
				return nil
			}
			if err := s.Remove(p.Version); err != nil {
				return err
			}
			_ = os.Remove(s.Dir) // only when it is empty
			return nil
		},
		Proof: func(context.Context) error { return archive.VerifyDir(s.Path(p.Version)) },
	}
}

// genuine reports whether the list of files of a staged version is the signed one: that of the receipt, or, where there is
// none yet, that of the catalog.
func (j *job) genuine(ctx context.Context, p Package) (bool, error) {
	sum, err := manifestSum(j.i.slots(p.Name).Path(p.Version))
	if err != nil {
		return false, err
	}
	if r, err := ReadReceipt(j.i.o.Layout.Receipts(), p.Name); err == nil && r.Version == p.Version {
		return r.FilesSHA256 == sum, nil
	}
	t, err := j.find.target(ctx, p.Name, p.Version)
	return t.ContentSHA256 == sum, err
}

// manifestSum is the SHA-256 of component.json in dir.
func manifestSum(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, archive.ManifestName))
	if err != nil {
		return "", uerr.New(uerr.Integrity, "read the component in", dir, err, "practicectl component verify")
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// unpack fetches a component and unpacks it into an empty folder.
func (j *job) unpack(ctx context.Context, p Package, dir string) error {
	t, err := j.find.target(ctx, p.Name, p.Version)
	if err != nil {
		return err
	}
	file, err := j.i.fetch(ctx, t)
	if err != nil {
		return err
	}
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	m, err := archive.Unpack(ctx, r, dir)
	if err == nil && (m.Name != p.Name || m.Version != p.Version) {
		err = uerr.New(uerr.Integrity, "unpack", t.Path, fmt.Errorf("it is %s %s", m.Name, m.Version), "")
	}
	return err
}

// repair replaces every file of a staged version by a fresh one, one rename each, and removes what does not belong
// there. It works on the live version as well.
func (j *job) repair(ctx context.Context, p Package) error {
	dir := j.i.slots(p.Name).Path(p.Version)
	fresh := dir + ".repair.unverified" // cleared by the slots when we do not get to it
	if err := os.RemoveAll(fresh); err != nil {
		return cannot("repair", dir, err)
	}
	err := j.unpack(ctx, p, fresh)
	if err == nil {
		err = moveOver(fresh, dir)
	}
	return errors.Join(err, os.RemoveAll(fresh))
}

func moveOver(fresh, dir string) error {
	belongs := map[string]bool{}
	err := filepath.WalkDir(fresh, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(fresh, path)
		if err != nil {
			return err
		}
		belongs[rel] = true
		to := filepath.Join(dir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		if info, err := os.Lstat(to); err == nil && info.IsDir() {
			if err := os.RemoveAll(to); err != nil {
				return err
			}
		}
		return atomicfile.Rename(path, to)
	})
	if err != nil {
		return cannot("repair", dir, err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || belongs[rel] {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return cannot("repair", dir, err)
	}
	return nil
}

// activate makes the staged version live. Only the first version of a component is made live here.
func (j *job) activate(p Package) steps.Step {
	s := j.i.slots(p.Name)
	return steps.Func{
		ID: "activate " + p.Name + " " + p.Version, Action: "make " + p.Name + " " + p.Version + " the current version",
		On: func(context.Context) (steps.State, error) {
			live, err := s.Current()
			switch {
			case err == nil && live == p.Version:
				return steps.Satisfied, nil
			case err == nil:
				return steps.Blocked, uerr.New(uerr.Precond, "activate", p.Name+" "+p.Version, fmt.Errorf("version %s is installed", live), "practicectl update apply")
			case uerr.KindOf(err) == uerr.NotFound:
				return steps.Change, nil
			}
			return steps.Blocked, err
		},
		Do:     func(context.Context) error { return s.Switch(p.Version) },
		Revert: func(context.Context) error { return s.Off() },
	}
}

// settings writes practice.toml.
func (j *job) settings() steps.Step {
	path := j.i.o.Layout.Config()
	return steps.Func{
		ID: "settings", Action: "write " + path,
		On: func(context.Context) (steps.State, error) {
			same, err := j.i.o.Settings.Match(j.d)
			if err != nil {
				return steps.Blocked, err
			}
			if same {
				return steps.Satisfied, nil
			}
			return steps.Change, nil
		},
		Do: func(context.Context) error {
			if err := j.i.before().save(path); err != nil {
				return cannot("keep", path, err)
			}
			return j.i.o.Settings.Write(j.d)
		},
		Revert: func(context.Context) error { return j.i.before().restore(path) },
	}
}

// authority makes the local certificate authority. It is never replaced: workstations trust it.
func (j *job) authority() steps.Step {
	dir := j.i.o.Layout.Cred()
	return j.pair("authority", "make a local certificate authority", CAKeyFile, CACertFile,
		func() error { _, _, err := readPair(dir, CAKeyFile, CACertFile); return err },
		func() error { return authority(dir, j.d.Practice.Name, j.names(), j.i.o.Now()) })
}

// certificate makes the server's certificate, and a new one when its names change or it comes to its end.
func (j *job) certificate() steps.Step {
	dir := j.i.o.Layout.Cred()
	return j.pair("certificate", "issue the server's certificate", TLSKeyFile, TLSCert,
		func() error { return checkCertificate(dir, j.vouchedNames(), j.i.o.Now()) },
		func() error {
			if err := checkPermitted(dir, j.vouchedNames()); err != nil {
				return err
			}
			return serverCertificate(dir, j.vouchedNames(), j.i.o.Now())
		})
}

func (j *job) names() []string { return serverNames(j.i.o.Hostname, j.d.URL, j.d.Listen) }

// vouchedNames are the names without the machine's own where the authority may not sign for it: on a replacement machine
// the authority is the old one's, which the workstations trust.
func (j *job) vouchedNames() []string {
	ca, err := readCertificate(filepath.Join(j.i.o.Layout.Cred(), CACertFile))
	if err == nil && !permits(ca, j.i.o.Hostname) {
		return serverNames("", j.d.URL, j.d.Listen)
	}
	return j.names()
}

// pair is a step that makes a key and its certificate.
func (j *job) pair(id, action, key, cert string, check, issue func() error) steps.Step {
	dir := j.i.o.Layout.Cred()
	files := []string{filepath.Join(dir, cert), filepath.Join(dir, key)}
	return steps.Func{
		ID: id, Action: action,
		On: func(context.Context) (steps.State, error) {
			if check() != nil {
				return steps.Change, nil
			}
			return steps.Satisfied, nil
		},
		Do: func(context.Context) error {
			for _, f := range files {
				if err := j.i.before().save(f); err != nil {
					return cannot("keep", f, err)
				}
			}
			if err := issue(); err != nil {
				return cannot(action+" in", dir, err)
			}
			return nil
		},
		Revert: func(context.Context) error {
			var errs []error
			for _, f := range files {
				errs = append(errs, j.i.before().restore(f))
			}
			return errors.Join(errs...)
		},
		Proof: func(context.Context) error { return check() },
	}
}
