package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"practicectl/backup/intake"
	"practicectl/backup/pagemap"
	"practicectl/backup/pgsource"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// The modes of a run.
const (
	FullRead = "full-read" // every page was read
	Tracked  = "tracked"   // only those pages of tables and indexes that changed according to the log, and a part of the others
)

// DefaultFullEvery is the time after which a run reads every page, whatever the log says.
const DefaultFullEvery = 28 * 24 * time.Hour

// auditParts is the number of runs in which every page is read that did not change.
const auditParts = 14

// holes are pages that changed although no summary of the log says so.
type holes struct {
	mu    sync.Mutex
	count int
	path  string // the first
	block uint32
}

func (h *holes) note(path string, block uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count++; h.count == 1 {
		h.path, h.block = path, block
	}
}

// openPrior opens the page map of the snapshot before.
func (j *job) openPrior(parent repo.Header) {
	if parent.ID == "" {
		j.doubt = "this host has no snapshot yet"
		return
	}
	var err error
	j.prior, err = pagemap.Open(j.o.Cache, parent.ID, j.pageTagger)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		j.doubt = "the page map of the last snapshot is not on this machine"
	case err != nil:
		j.doubt = "the page map of the last snapshot cannot be read"
	}
}

func (j *job) pageTagger() *repo.Tagger { return j.repo.Keys.Index.Tagger("page map") }

// chooseMode decides whether all pages are read. Any doubt means that they are.
func (j *job) chooseMode(ctx context.Context) error {
	if j.db == nil {
		j.header.Mode, j.header.Reason = FullRead, "there is no database"
		return nil
	}
	changes, reason, err := j.track(ctx)
	if err != nil {
		return err
	}
	if reason == "" {
		j.changes, j.header.Mode = changes, Tracked
		return nil
	}
	j.readAll(reason)
	return nil
}

// readAll makes this run read every page.
func (j *job) readAll(reason string) {
	j.changes, j.header.Mode, j.header.Reason = nil, FullRead, reason
	j.p.Note("all pages are read: %s", reason)
}

func (j *job) track(ctx context.Context) (*pgsource.Changes, string, error) {
	switch {
	case j.o.Full:
		return nil, "it was asked for", nil
	case j.prior == nil:
		return nil, j.doubt, nil
	case j.prior.Facts.Hole:
		return nil, "the audit of the last run found pages that had changed without a trace in the log", nil
	}
	every := j.o.FullEvery
	if every == 0 {
		every = DefaultFullEvery
	}
	if age := j.header.Created.Sub(j.prior.Facts.FullRead); age < 0 || age >= every {
		return nil, fmt.Sprintf("all pages are read every %d days, and were last on %s", int(every.Hours()/24), j.prior.Facts.FullRead.Format(time.DateOnly)), nil
	}
	witness := ""
	if db := j.parent.Database; db != nil {
		witness = db.Witness
	}
	return j.db.Track(ctx, j.prior.Facts, witness)
}

// beginIntake prepares the reading: with which pages of the snapshot before those of the database are compared.
func (j *job) beginIntake(context.Context) error {
	o := intake.Options{Next: j.next, Run: 1, Hole: j.holes.note, Warn: j.p.Warn, Damaged: map[string]map[uint32]repo.Damage{}}
	if j.prior != nil && j.db != nil {
		facts := j.db.Facts()
		if facts.System == j.prior.Facts.System {
			o.Prior, o.Run = j.prior, j.prior.Facts.Run+1
			o.Pin = facts.Timeline == j.prior.Facts.Timeline
		}
		if j.changes != nil {
			o.Audit = j.prior.Due(auditParts)
		}
		for _, d := range j.parent.Damaged {
			if o.Damaged[d.Path] == nil {
				o.Damaged[d.Path] = map[uint32]repo.Damage{}
			}
			o.Damaged[d.Path][d.Block] = d
		}
	}
	j.run = o.Run
	j.intake = intake.New(j.writer, o)
	return nil
}

// distrust goes on after the audit found pages that changed without a trace in the log: then any page may have, and all are read.
func (j *job) distrust(ctx context.Context) error {
	if j.holes.count == 0 || j.changes == nil {
		return nil
	}
	j.p.Warn("the audit found %d pages that changed without a trace in the log; the first is block %d of %s", j.holes.count, j.holes.block, j.holes.path)
	j.readAll("the audit found pages that had changed without a trace in the log")
	if err := j.beginIntake(ctx); err != nil {
		return err
	}
	return j.readFiles(ctx)
}

// holeError is the alarm about pages that changed without a trace in the log. The snapshot is good: it read every page.
func (j *job) holeError() error {
	if j.holes.count == 0 {
		return nil
	}
	return uerr.New(uerr.Integrity, "the snapshot is stored, and read every page after its audit found", fmt.Sprintf("%d pages", j.holes.count),
		fmt.Errorf("which had changed without a trace in the log; the first is block %d of %s. Snapshots since %s may lack changes", j.holes.block, j.holes.path, j.prior.Facts.FullRead.Format(time.RFC3339)),
		"restore this snapshot or a later one; look at the disk, and at the release notes of PostgreSQL about WAL summaries")
}

// leaveWitness puts a token into the database, and into the snapshot, when all files are read.
func (j *job) leaveWitness(ctx context.Context) error {
	token := rand.Text()
	left, err := j.db.Witness(ctx, token)
	if left {
		j.witness = token
	}
	return err
}

// keepMap writes down what the next run compares pages with. It counts only if this snapshot is committed.
func (j *job) keepMap(ctx context.Context) error {
	var facts pagemap.Facts
	if j.db != nil {
		facts = j.db.Facts()
		facts.Limits = j.limits
	}
	facts.Run, facts.Hole = j.run, j.holes.count > 0
	facts.FullRead = j.header.Created
	if j.header.Mode == Tracked {
		facts.FullRead = j.prior.Facts.FullRead
	}
	if err := j.next.Finish(facts, j.files, j.frames, j.packs, j.writer.Retired()); err != nil {
		return repo.CacheError(j.o.Cache, err)
	}
	j.crash("page map kept")
	return nil
}
