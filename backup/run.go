package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"practicectl/backup/intake"
	"practicectl/backup/repo"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Database is the cluster to save.
type Database struct {
	ConnString string // of a role that may run pg_backup_start and stream the log
	Data       string // its data folder on this machine
}

// Source is what a snapshot is taken of.
type Source struct {
	Database *Database // nil: none
	Paths    []string  // files and folders beside it
}

// RunOptions of one snapshot.
type RunOptions struct {
	Cache      string   // folder that keeps the index between runs; losing it costs time, never data
	Recipients []string // those of the host's configuration, compared with the signed ones; nil: not compared
	PackSize   int      // bytes at which a pack is closed; 0: 16 MiB
	Now        func() time.Time
	Full       bool               // read every page
	FullEvery  time.Duration      // time after which every page is read in any case; 0: DefaultFullEvery
	Refresh    int64              // the most bytes that are stored anew of packs less than half in use; 0: 64 MiB, or 2 % of the snapshot if more; negative: none
	Crash      func(point string) // called at the points where a crash is interesting; nil: none
}

// Points are the names that RunOptions.Crash is called with, in their order; "pack stored" comes once for each pack.
var Points = []string{"started", "pack stored", "files read", "database stopped", "trees stored", "packs verified", "index stored", "lists stored", "page map kept", "committed"}

// Report is what a snapshot cost.
type Report struct {
	Snapshot  repo.Header   `json:"snapshot"`
	Key       string        `json:"key"`
	Uploaded  int64         `json:"uploaded"` // bytes of all objects that this run stored
	Packs     int           `json:"packs"`    // packs that the snapshot refers to
	Seconds   float64       `json:"seconds"`
	Damaged   []repo.Damage `json:"damaged"`
	Mode      string        `json:"mode"`             // "full-read" or "tracked"
	Reason    string        `json:"reason,omitempty"` // why every page was read
	Pages     intake.Counts `json:"pages"`            // of the database
	Refreshed Refreshed     `json:"refreshed"`        // because little of their packs was in use
	Requests  int64         `json:"requests"`         // to the store
}

// Run takes one snapshot. The snapshot object is the one commit point: a run that ends before it leaves packs that the
// next run uses. The caller holds the instance's backup lock. Error kinds: Unreachable, Auth, NoSpace, Integrity, Precond,
// WALGap, Fenced, WeakLock (which also may come with a committed snapshot); CorruptPage comes with a committed snapshot that says which pages were damaged at the source.
func Run(ctx context.Context, r *Repo, src Source, o RunOptions, p progress.Reporter) (rep Report, err error) {
	began := o.Now()
	ctx, fail := context.WithCancelCause(ctx)
	j := &job{repo: r, src: src, o: o, p: p, fail: fail}
	defer func() { fail(nil); err = errors.Join(err, j.wait()) }() // nothing works on in the background when Run has returned
	for _, step := range []func(context.Context) error{
		j.check,         // may this host write, and for whom
		j.openWriter,    // what is stored already
		j.startDatabase, // the log streams from here on
		j.chooseMode,    // which pages have to be read
		j.beginIntake,
		j.readFiles,
		j.distrust,     // all of them after all, when the audit finds that the log does not tell the truth
		j.stopDatabase, // pg_control last; the log is durable up to the end
		j.writeTrees,
		j.verifyPacks, // what the snapshot will refer to is there
		j.lockPacks,   // and stays there, in a store that locks objects
		j.checkSettings,
		j.writeIndex,
		j.writeLists,
		j.lockLists,
		j.keepMap,
		j.commit, // the only commit point
		j.readBack,
	} {
		if err := step(ctx); err != nil {
			return Report{}, errors.Join(j.because(ctx, err), j.closeDatabase(ctx))
		}
	}
	if err := j.closeDatabase(ctx); err != nil {
		return Report{}, err
	}
	if err = j.checkLock(ctx); err == nil {
		err = errors.Join(damaged(j.header), j.holeError())
	}
	return Report{
		Snapshot: j.header, Key: j.key, Uploaded: j.uploaded(), Packs: len(j.used), Seconds: o.Now().Sub(began).Seconds(), Damaged: j.header.Damaged,
		Mode: j.header.Mode, Reason: j.header.Reason, Pages: j.intake.Counts(), Refreshed: j.refreshed, Requests: j.requests.n.Load(),
	}, err
}

// damaged is the error of a snapshot that was committed although pages were damaged: better than none, and not success.
func damaged(h repo.Header) error {
	if len(h.Damaged) == 0 {
		return nil
	}
	first := h.Damaged[0]
	return uerr.New(uerr.CorruptPage, "the snapshot is stored, but the database has", fmt.Sprintf("%d damaged pages", len(h.Damaged)),
		fmt.Errorf("the first is block %d of %s", first.Block, first.Path),
		"earlier snapshots may hold them whole: practicectl backup list; then look at the disk")
}
