package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// CheckTarget refuses a target that holds something and a disk that is too small. Error kinds: LossGuard, NoSpace.
func (p *Plan) CheckTarget() error {
	const op = "restore into"
	if p.Target == "" {
		return uerr.New(uerr.Usage, op, "", errors.New("no folder was named"), "give --target DIR")
	}
	entries, err := os.ReadDir(p.Target)
	switch {
	case err == nil && len(entries) > 0:
		return uerr.New(uerr.LossGuard, op, p.Target, errors.New("there is something in it, and a restore overwrites nothing unless it is told to"), "name a new folder with --target, or bring a stopped database back by its differences: --in-place")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return uerr.New(uerr.Precond, op, p.Target, err, "name a folder with --target")
	}
	return p.checkSpace(p.need() - p.laid())
}

// checkSpace refuses a disk with less room than need bytes beside the target.
func (p *Plan) checkSpace(need int64) error {
	const op = "restore into"
	parent := filepath.Dir(p.Target)
	var err error
	for {
		if p.Free, err = diskspace.Free(parent); err == nil || !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	if err != nil {
		return uerr.New(uerr.Precond, op, p.Target, err, "name a folder with --target")
	}
	if p.Free < need {
		return uerr.New(uerr.NoSpace, op, p.Target, fmt.Errorf("it needs %d MiB and the disk has %d MiB free", need>>20, p.Free>>20), "free some space, or name a folder on another disk with --target")
	}
	return nil
}

// need is the room for all files, the log and what recovery writes at once.
func (p *Plan) need() int64 {
	n := p.Bytes
	if p.HasDatabase() {
		n += 64<<20 + int64(len(p.body.Database.WAL)+2)*p.body.Database.SegmentSize + p.Replay.room(p.body.Database.SegmentSize)
	}
	return n
}

// laid is about the room that an interrupted restore of the same snapshot has taken already.
func (p *Plan) laid() int64 {
	if !p.resumes() {
		return 0
	}
	n := int64(0)
	_ = filepath.WalkDir(p.Target+Suffix, func(_ string, d fs.DirEntry, err error) error { // only an estimate
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return min(n, p.Bytes)
}
