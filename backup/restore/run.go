package restore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Options of a restore.
type Options struct {
	// Own gives a path to the account that will use it; nil: it stays the caller's.
	Own func(path string) error
	// Prove is called with the folder that was laid down, before it is put in place; what it refuses is not put in place.
	Prove func(ctx context.Context, dir string) error
	Now   func() time.Time
}

// Report is what a restore did.
type Report struct {
	Key      string      `json:"key"`
	Snapshot repo.Header `json:"snapshot"`
	Target   string      `json:"target"`
	Files    int64       `json:"files"`
	Bytes    int64       `json:"bytes"`
	Proved   bool        `json:"proved"` // by more than checksums
	Seconds  float64     `json:"seconds"`
}

// Suffix is what the folder beside the target is called until it is proved.
const Suffix = ".unverified"

// marker tells a folder that a restore left behind from somebody's own.
const marker = ".practicectl-restore"

// Run executes the plan: lay down beside → prove → put in place. Until the last step the target does not change. Error
// kinds: LossGuard, NoSpace, Integrity, Auth, Unreachable.
func (p *Plan) Run(ctx context.Context, o Options, rep progress.Reporter) (Report, error) {
	began := o.Now()
	if err := p.CheckTarget(); err != nil {
		return Report{}, err
	}
	stage, err := p.makeStage(o.Own)
	if err != nil {
		return Report{}, err
	}
	if err := errors.Join(p.lay(ctx, stage, rep), stage.root.Close()); err != nil {
		return Report{}, errors.Join(err, discard(stage.dir))
	}
	if o.Prove != nil {
		task := rep.Task("prove", progress.Items, 1)
		err := o.Prove(ctx, stage.dir)
		task.Done()
		if err != nil {
			return Report{}, uerr.New(uerr.KindOf(err), "prove the restored copy in", stage.dir, err, "it was not put in place and is kept for inspection; an older snapshot may do: practicectl backup list")
		}
	}
	if err := p.swap(stage.dir); err != nil {
		return Report{}, err
	}
	return Report{Key: p.Key, Snapshot: p.Snapshot, Target: p.Target, Files: p.Files, Bytes: p.Bytes, Proved: o.Prove != nil, Seconds: o.Now().Sub(began).Seconds()}, nil
}

// lay writes everything and makes it durable.
func (p *Plan) lay(ctx context.Context, d folder, rep progress.Reporter) error {
	if err := d.make(p); err != nil {
		return err
	}
	task := rep.Task("restore", progress.Bytes, p.Bytes)
	err := p.fetch(ctx, d, task)
	task.Done()
	if err != nil {
		return err
	}
	if p.body.Database != nil {
		if err := p.layDatabase(ctx, d); err != nil {
			return err
		}
	}
	if err := d.finish(p); err != nil {
		return err
	}
	return writeErrorOrNil(d.dir, syncTree(d.dir))
}

// makeStage makes the folder beside the target; one that an earlier restore left is thrown away.
func (p *Plan) makeStage(own func(path string) error) (folder, error) {
	dir := p.Target + Suffix
	if _, err := os.Lstat(dir); err == nil {
		if _, err := os.Lstat(filepath.Join(dir, marker)); err != nil {
			return folder{}, uerr.New(uerr.LossGuard, "restore into", p.Target, errors.New("the folder "+dir+" is in the way and is not ours"), "move it away")
		}
		if err := discard(dir); err != nil {
			return folder{}, err
		}
	}
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return folder{}, writeError(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return folder{}, writeError(dir, err)
	}
	d := folder{dir: dir, root: root, owner: own}
	err = root.WriteFile(marker, []byte(p.Key+"\n"), 0o600)
	if err == nil {
		err = errors.Join(d.own("."), d.own(marker))
	}
	if err != nil {
		return folder{}, errors.Join(writeError(dir, err), root.Close())
	}
	return d, nil
}

// swap puts the proved folder in place.
func (p *Plan) swap(stage string) error {
	const op = "put the restored copy in place at"
	if err := os.Remove(filepath.Join(stage, marker)); err != nil {
		return uerr.New(uerr.Failed, op, p.Target, err, "")
	}
	if err := os.Remove(p.Target); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder, or it stays
		return uerr.New(uerr.LossGuard, op, p.Target, err, "the copy is in "+stage+"; move it yourself")
	}
	if err := atomicfile.Rename(stage, p.Target); err != nil {
		return uerr.New(uerr.Failed, op, p.Target, err, "the copy is in "+stage+"; move it yourself")
	}
	return p.linkTablespaces(p.Target)
}

// discard removes a folder that a restore made.
func discard(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return uerr.New(uerr.Failed, "remove", dir, err, "remove it by hand")
	}
	return nil
}

func writeErrorOrNil(path string, err error) error {
	if err == nil {
		return nil
	}
	return writeError(path, err)
}
