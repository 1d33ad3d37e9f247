package restore

import (
	"context"
	"errors"
	"time"

	"practicectl/backup/repo"
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
	Crash func(point string) // called at the points where a crash is interesting; nil: none
}

// Points are the places of a restore into a new folder at which Options.Crash is called, in order.
var Points = []string{"folder made", "files made", "files laid", "database laid", "durable", "proved", "in place"}

// Report is what a restore did.
type Report struct {
	Key      string      `json:"key"`
	Snapshot repo.Header `json:"snapshot"`
	Target   string      `json:"target"`
	InPlace  bool        `json:"in_place,omitempty"`
	Resumed  bool        `json:"resumed,omitempty"` // went on where an interrupted restore had stopped
	Database bool        `json:"database"`          // a whole one was restored, and not only some files
	Files    int64       `json:"files"`
	Bytes    int64       `json:"bytes"`      // of these files
	Written  int64       `json:"written"`    // bytes of them that were not there already
	Read     int64       `json:"downloaded"` // bytes that were read from the store, without what the plan read
	Requests int64       `json:"requests"`   // for them
	Torn     int         `json:"torn_pages"` // pages that were saved while they were written, and that recovery replaces from the log
	Proved   bool        `json:"proved"`     // by more than checksums
	Seconds  float64     `json:"seconds"`
}

// Run executes the plan: lay down beside → prove → put in place. Until the last step the target does not change. A restore that is
// interrupted, or whose store goes away, leaves what it laid beside the target, and the next one of the same snapshot goes on
// there. Error kinds: LossGuard, NoSpace, Integrity, Auth, Unreachable.
func (p *Plan) Run(ctx context.Context, o Options, rep progress.Reporter) (Report, error) {
	if p.InPlace {
		return p.runInPlace(ctx, o, rep)
	}
	began := o.Now()
	p.requests.Store(0)
	p.bytes.Store(0)
	if err := p.CheckTarget(); err != nil {
		return Report{}, err
	}
	stage, old, err := p.makeStage(ctx, o.Own)
	if err != nil {
		return Report{}, err
	}
	out := p.report(o)
	out.Resumed = old
	o.crash("folder made")
	err = p.lay(ctx, stage, old, o, rep, &out)
	if err == nil && o.Prove != nil {
		err = p.proveIn(ctx, stage, o, rep)
	} else if err != nil {
		err = keepOrDiscard(err, stage)
	}
	if err := errors.Join(err, stage.root.Close()); err != nil {
		return Report{}, err
	}
	o.crash("proved")
	if err := p.swap(stage.dir); err != nil {
		return Report{}, err
	}
	o.crash("in place")
	p.sum(&out, o.Now().Sub(began))
	return out, nil
}

func (p *Plan) report(o Options) Report {
	return Report{Key: p.Key, Snapshot: p.Snapshot, Target: p.Target, InPlace: p.InPlace, Database: p.HasDatabase(), Files: p.Files, Bytes: p.Bytes, Proved: o.Prove != nil}
}

func (p *Plan) sum(out *Report, took time.Duration) {
	out.Read, out.Requests, out.Torn, out.Seconds = p.bytes.Load(), p.requests.Load(), len(p.suspects.pages), took.Seconds()
}

func (o Options) crash(point string) {
	if o.Crash != nil {
		o.Crash(point)
	}
}

// keepOrDiscard keeps what was laid when a next run can go on with it, and otherwise frees the disk.
func keepOrDiscard(err error, stage folder) error {
	if uerr.KindOf(err) == uerr.Unreachable || uerr.KindOf(err) == uerr.Interrupted || errors.Is(err, context.Canceled) {
		return err
	}
	return errors.Join(err, discard(stage.dir))
}

// lay writes everything and makes it durable. With old, what is there already stays.
func (p *Plan) lay(ctx context.Context, d folder, old bool, o Options, rep progress.Reporter, out *Report) error {
	if old {
		task := rep.Task("compare", progress.Bytes, p.Bytes)
		err := p.survey(ctx, d.root, task)
		task.Done()
		if err != nil {
			return err
		}
	}
	if err := d.make(p, everything); err != nil {
		return err
	}
	o.crash("files made")
	out.Written = p.toWrite()
	task := rep.Task("restore", progress.Bytes, out.Written)
	err := p.fetch(ctx, d, task, everything)
	task.Done()
	if err != nil {
		return err
	}
	o.crash("files laid")
	if p.HasDatabase() {
		if err := p.layDatabase(ctx, d, rep); err != nil {
			return err
		}
	}
	o.crash("database laid")
	if err := d.finish(p); err != nil {
		return err
	}
	if err := syncTree(d.dir); err != nil {
		return writeError(d.dir, err)
	}
	o.crash("durable")
	return nil
}

// toWrite is the bytes that the ops write.
func (p *Plan) toWrite() int64 {
	n := int64(0)
	for _, job := range p.jobs {
		for _, o := range *job {
			n += int64(o.n)
		}
	}
	for _, o := range p.zeros {
		n += int64(o.n)
	}
	return n
}

// proveIn has the copy proved, and looks at the pages that only recovery could put right.
func (p *Plan) proveIn(ctx context.Context, d folder, o Options, rep progress.Reporter) error {
	task := rep.Task("prove", progress.Items, 1)
	defer task.Done()
	err := o.Prove(ctx, d.dir)
	if err == nil && p.HasDatabase() {
		err = errors.Join(p.reached(d.dir), p.recheck(d.root))
	}
	if err != nil && !p.InPlace {
		return uerr.New(uerr.KindOf(err), "prove the restored copy in", d.dir, err, "it was not put in place and is kept for inspection; an older snapshot may do: practicectl backup list")
	}
	return err
}
