package updater

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/progress"
	"practicectl/internal/slots"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
)

// Staged is a plan whose every component lies verified and durable beside the live version. Only stage makes one.
type Staged struct{ plan Plan }

// stage fetches, verifies and unpacks every component of pl. The live versions are not touched; whatever fails leaves
// them and nothing half-made.
func (u *Updater) stage(ctx context.Context, pl *Plan) (*Staged, error) {
	for _, target := range pl.Targets {
		if err := u.stageOne(ctx, target); err != nil {
			return nil, err
		}
		u.o.Crash("staged/" + target.Component)
	}
	if err := u.complete(pl); err != nil {
		return nil, err
	}
	return &Staged{plan: *pl}, nil
}

// complete refuses a version that needs a component which is not installed here.
func (u *Updater) complete(pl *Plan) error {
	for _, target := range pl.Targets {
		m, err := archive.ReadManifest(u.slots(target.Component).Path(target.Version))
		if err != nil {
			return err
		}
		for _, need := range m.Requires {
			if need != release.Postgres && pl.Transition.Components[need] == "" {
				return uerr.New(uerr.Precond, "update to", target.Version, fmt.Errorf("its %s needs %s, which is not installed here", m.Name, need),
					"practicectl component add "+need)
			}
		}
	}
	return nil
}

func (u *Updater) stageOne(ctx context.Context, t release.Target) error {
	s := u.slots(t.Component)
	if s.Has(t.Version) {
		// From an earlier run. It is used only if it still is what was signed.
		if verify(t, s.Path(t.Version)) == nil {
			return nil
		}
		if err := s.Remove(t.Version); err != nil {
			return err
		}
	}
	file := filepath.Join(u.o.Downloads, t.SHA256+".tar.zst")
	if err := os.MkdirAll(u.o.Downloads, 0o750); err != nil {
		return uerr.New(uerr.Precond, "make the download folder", u.o.Downloads, err, "practicectl doctor")
	}
	if err := u.fetch(ctx, t, file); err != nil {
		return err
	}
	u.o.Crash("fetched/" + t.Component)
	if err := s.Stage(ctx, t.Version, func(dir string) error { return u.unpack(ctx, t, file, s, dir) }); err != nil {
		// Whatever was wrong with the archive, the next run fetches it anew.
		return errors.Join(err, remove(file))
	}
	return remove(file)
}

func (u *Updater) fetch(ctx context.Context, t release.Target, file string) error {
	task := u.p.Task(fmt.Sprintf("fetch %s %s", t.Component, t.Version), progress.Bytes, t.Length)
	defer task.Done()
	return u.o.Source.Fetch(ctx, t, file, task)
}

// unpack fills dir, the folder of a version that is not live yet.
func (u *Updater) unpack(ctx context.Context, t release.Target, file string, s slots.Slots, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return uerr.New(uerr.Precond, "open the archive", file, err, "")
	}
	m, err := archive.Unpack(ctx, f, dir)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if m.Name != t.Component || m.Version != t.Version || (m.OS != t.OS && m.OS != release.Any) || (m.Arch != t.Arch && m.Arch != release.Any) {
		return uerr.New(uerr.Integrity, "unpack", t.Path, fmt.Errorf("it holds %s %s for %s/%s", m.Name, m.Version, m.OS, m.Arch),
			"tell the vendor; nothing was installed")
	}
	if t.Component == release.Practicectl {
		if err := replaceSelf(m, s.CurrentPath(), dir); err != nil {
			return err
		}
	}
	return verify(t, dir)
}

// verify compares an unpacked component with what was signed: the signature names the hash of its manifest, the manifest
// those of its files.
func verify(t release.Target, dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, archive.ManifestName))
	if err != nil {
		return uerr.New(uerr.Integrity, "read the component in", dir, err, "practicectl update apply")
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != t.ContentSHA256 {
		return uerr.New(uerr.Integrity, "verify the component in", dir, errors.New("it is not the one that was signed"), "practicectl update apply")
	}
	return archive.VerifyDir(dir)
}

// downloadLife is how long an unfinished download is kept to be resumed.
const downloadLife = 7 * 24 * time.Hour

// dropOldDownloads deletes what nobody resumes any more, such as parts of a version that was overtaken.
func (u *Updater) dropOldDownloads() error {
	entries, err := os.ReadDir(u.o.Downloads)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > downloadLife {
			err = errors.Join(err, remove(filepath.Join(u.o.Downloads, e.Name())))
		}
	}
	return err
}

func remove(file string) error {
	if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
