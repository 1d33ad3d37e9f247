package updater

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// Room asked for before anything is fetched: 2.2 times what the new version occupies, so that its archive, its files and
// a little growth fit beside the old version.
const (
	roomNumerator   = 22
	roomDenominator = 10
)

// preflight refuses an update that would fail half-way. It changes nothing.
func (u *Updater) preflight(ctx context.Context, pl *Plan) error {
	if err := u.room(u.o.Opt, pl.Disk*roomNumerator/roomDenominator); err != nil {
		return err
	}
	if err := u.room(u.o.Downloads, pl.Download*roomNumerator/roomDenominator); err != nil {
		return err
	}
	if !pl.Transition.hasServer() {
		return nil
	}
	if err := u.o.Hooks.Probe(ctx); err != nil {
		return uerr.New(uerr.Precond, "update to", pl.Transition.To,
			fmt.Errorf("the version that runs now is not ready, so nobody could tell whether an update helped or harmed: %w", err), "practicectl status")
	}
	return nil
}

// settleSchema asks the old and the staged server what happens to the database, whatever the release says about itself:
// whether the old version could live with the result decides the way back. Called when everything is staged and nothing
// is stopped yet.
func (u *Updater) settleSchema(ctx context.Context, s *Staged) error {
	t := &s.plan.Transition
	if !t.migrates() {
		return nil
	}
	before, err := u.o.Hooks.Schema(ctx, t.Components[release.Server])
	if err != nil {
		return uerr.New(uerr.Precond, "ask for the schema of the database before the update to", t.To, err, "practicectl db status")
	}
	after, err := u.o.Hooks.Schema(ctx, t.To)
	if err != nil {
		return uerr.New(uerr.Precond, "ask for the schema of", t.To, err, "practicectl update history")
	}
	switch {
	case before.Applied > after.Known:
		return uerr.New(uerr.LossGuard, "update to", t.To, fmt.Errorf("the database has schema %d, newer than the %d of this version", before.Applied, after.Known),
			"practicectl update check")
	case before.Applied < s.plan.schemaMin:
		return uerr.New(uerr.Precond, "update to", t.To, fmt.Errorf("the database has schema %d, this version migrates from %d on", before.Applied, s.plan.schemaMin),
			"practicectl update check")
	}
	t.SchemaFrom, t.SchemaTo = before.Applied, after.Known
	// The release promises it and the program agrees: only then may the data stay behind when the version goes back.
	t.BackwardCompatible = t.BackwardCompatible && after.Floor > 0 && after.Floor <= before.Known
	u.sizeUp(&s.plan)
	return u.roomForCopy(*t)
}

// roomForCopy refuses a database that cannot be copied, and asks for the space of the copy unless the file system can
// share its blocks.
func (u *Updater) roomForCopy(t Transition) error {
	if !t.needsCopy() {
		return nil
	}
	if err := (wayBack{data: u.o.PGData}).fits(); err != nil {
		return err
	}
	sample := u.o.PGData + ".wayback.sample"
	shared, err := u.o.Clone(filepath.Join(u.o.PGData, "PG_VERSION"), sample)
	if err = errors.Join(err, remove(sample)); err != nil {
		return uerr.New(uerr.Precond, "prepare the copy of", u.o.PGData, err, "practicectl db status")
	}
	if shared {
		return nil
	}
	size, err := treeSize(u.o.PGData)
	if err != nil {
		return uerr.New(uerr.Precond, "measure", u.o.PGData, err, "practicectl db status")
	}
	return u.room(filepath.Dir(u.o.PGData), size*11/10)
}

// room refuses when dir's disk has less than want bytes free. Error kind: NoSpace.
func (u *Updater) room(dir string, want int64) error {
	if want == 0 {
		return nil
	}
	for { // a folder that will be made lies on the disk of its parent
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, err := u.o.Free(dir)
	if err != nil {
		return uerr.New(uerr.Precond, "measure the free space of", dir, err, "")
	}
	if free < want {
		return uerr.New(uerr.NoSpace, "prepare the update", "", fmt.Errorf("%s has %d MB free and needs %d MB", dir, free>>20, want>>20+1),
			"free space on that disk, then run the same command again; nothing was changed")
	}
	return nil
}
