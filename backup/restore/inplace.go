package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// PointsInPlace are the places of a restore in place at which Options.Crash is called, in order. "file opened" comes often.
var PointsInPlace = []string{"journal begun", "pages kept", "journal complete", "put aside", "files made", "file opened", "files laid", "database laid",
	"startable", "durable", "proved", "journal done"}

// PointsUndo are those of its way back.
var PointsUndo = []string{"undo begun", "undo laid", "undo removed", "undo put back", "undo pages", "undo durable"}

const opInPlace = "restore in place"

// controlFile is what no PostgreSQL starts without: it is taken away first and comes last, so that nothing half done can be started.
const controlFile = "global/pg_control"

// chooseForm finds out what an existing target is: a data folder itself, or the folder of an earlier restore. Error kinds:
// LossGuard, NotFound, Precond.
func (p *Plan) chooseForm() error {
	if !p.InPlace {
		return nil
	}
	if len(p.Paths) > 0 {
		return uerr.New(uerr.Usage, opInPlace, p.Target, errors.New("single files are restored into a new folder"), "leave --in-place or --path away")
	}
	dir, err := filepath.EvalSymlinks(p.Target)
	if err != nil {
		return uerr.New(uerr.NotFound, opInPlace, p.Target, err, "without --in-place the folder is made")
	}
	p.Target = dir
	has := func(name string) bool { _, err := os.Lstat(filepath.Join(dir, name)); return err == nil }
	switch {
	case has("PG_VERSION"):
		p.data = "."
		if p.body.Database == nil {
			return uerr.New(uerr.LossGuard, opInPlace, dir, errors.New("it is a database, and there is none in the snapshot"), "practicectl backup list")
		}
		if len(p.body.Database.Tablespaces) > 0 {
			return uerr.New(uerr.Precond, opInPlace, dir, errors.New("tablespaces lie outside of it"), "restore into a new folder, without --in-place")
		}
	case !has(dataDir) && !has("files"):
		return uerr.New(uerr.LossGuard, opInPlace, dir, errors.New("it is neither a database's data folder nor the folder of an earlier restore"), "name one of these, or a new folder without --in-place")
	}
	if p.body.Database == nil {
		return nil
	}
	// A control file that cannot be read is a reason to restore, and not to refuse.
	if c, err := pgcluster.ReadControl(filepath.Join(dir, p.data)); err == nil && c.SystemID != p.Snapshot.Database.System {
		return uerr.New(uerr.LossGuard, opInPlace, dir, fmt.Errorf("the database there is another one (%d) than that of the snapshot (%d)", c.SystemID, p.Snapshot.Database.System), "name the right folder, or a new one without --in-place")
	}
	return nil
}

// checkStopped refuses a cluster whose server runs. Error kind: Precond.
func (p *Plan) checkStopped() error {
	if p.body.Database == nil {
		return nil
	}
	data := filepath.Join(p.Target, p.data)
	pid, err := pgcluster.ServerPID(data)
	if err != nil {
		return uerr.New(uerr.Precond, opInPlace, data, err, "")
	}
	if pid != 0 {
		return uerr.New(uerr.Precond, opInPlace, data, fmt.Errorf("its PostgreSQL is running (process %d)", pid), "stop it first: practicectl db stop")
	}
	return nil
}

// only tells whether a tree is laid at all: a data folder gets nothing but the cluster.
func (p *Plan) only(tree string) bool { return p.data != "." && !p.alone || tree == dataDir }

// DataDir is the folder of the cluster in a copy that was laid in dir.
func (p *Plan) DataDir(dir string) string { return filepath.Join(dir, p.data) }

// replaced tells whether a file is put aside and laid anew although it may be the same: what makes the cluster startable, and what
// [Plan.layDatabase] changes.
func (p *Plan) replaced(f *file) bool {
	return p.InPlace && p.body.Database != nil && (p.isControl(f) || f.path == filepath.Join(p.data, autoConf))
}

func (p *Plan) isControl(f *file) bool {
	return f.path == filepath.Join(p.data, filepath.FromSlash(controlFile))
}

// runInPlace makes the target what the snapshot says, by its differences: compare → keep what will be overwritten → take away
// what makes it startable → lay → prove → forget what was kept. Killed anywhere, the same command finishes it, and [Plan.Undo]
// takes it back.
func (p *Plan) runInPlace(ctx context.Context, o Options, rep progress.Reporter) (Report, error) {
	began := o.Now()
	p.requests.Store(0)
	p.bytes.Store(0)
	if err := p.checkStopped(); err != nil {
		return Report{}, err
	}
	d, err := openFolder(p.Target, o.Own)
	if err != nil {
		return Report{}, err
	}
	defer d.root.Close() // everything was made durable before
	j, err := p.resumeJournal()
	if err != nil {
		return Report{}, err
	}
	if j != nil && j.State == undoing {
		if err := p.undo(ctx, d, j, o, rep); err != nil {
			return Report{}, err
		}
		j = nil
	}
	out := p.report(o)
	out.Resumed = j != nil
	if err := p.surveyFor(ctx, d, rep); err != nil {
		return Report{}, err
	}
	if j == nil {
		if j, err = p.keep(d, o); err != nil {
			return Report{}, err
		}
	}
	if err := p.change(ctx, d, j, o, rep, &out); err != nil {
		return Report{}, p.afterFailure(ctx, d, j, o, rep, err)
	}
	if err := errors.Join(j.to(done), j.remove()); err != nil {
		return Report{}, err
	}
	o.crash("journal done")
	p.sum(&out, o.Now().Sub(began))
	return out, nil
}

func openFolder(dir string, own func(string) error) (folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return folder{}, writeError(dir, err)
	}
	return folder{dir: dir, root: root, owner: own, made: map[string]bool{}}, nil
}

// Survey compares the target of a restore in place with the snapshot, so that the plan tells what will be written and read. It
// changes nothing.
func (p *Plan) Survey(ctx context.Context, rep progress.Reporter) error {
	d, err := openFolder(p.Target, nil)
	if err != nil {
		return err
	}
	return errors.Join(p.surveyFor(ctx, d, rep), d.root.Close())
}

func (p *Plan) surveyFor(ctx context.Context, d folder, rep progress.Reporter) error {
	task := rep.Task("compare", progress.Bytes, p.Bytes)
	defer task.Done()
	return p.survey(ctx, d.root, task)
}

// change does everything that changes the target.
func (p *Plan) change(ctx context.Context, d folder, j *journal, o Options, rep progress.Reporter, out *Report) error {
	if err := p.checkStopped(); err != nil { // it had time to be started since
		return err
	}
	if err := j.putAside(d); err != nil {
		return err
	}
	if err := p.sweep(d); err != nil {
		return err
	}
	o.crash("put aside")
	control := func(f *file) bool { return p.isControl(f) }
	rest := func(f *file) bool { return !p.isControl(f) }
	if err := d.make(p, rest); err != nil {
		return err
	}
	o.crash("files made")
	out.Written = p.toWrite()
	task := rep.Task("restore", progress.Bytes, out.Written)
	defer task.Done()
	to := watched{d, o}
	if err := p.fetch(ctx, to, task, rest); err != nil {
		return err
	}
	o.crash("files laid")
	if p.HasDatabase() {
		if err := p.layDatabase(ctx, d, rep); err != nil {
			return err
		}
	}
	o.crash("database laid")
	if err := syncTree(d.dir); err != nil {
		return writeError(d.dir, err)
	}
	if err := d.make(p, control); err != nil {
		return err
	}
	if err := p.fetch(ctx, to, task, control); err != nil {
		return err
	}
	o.crash("startable")
	if err := d.finish(p); err != nil {
		return err
	}
	if err := syncTree(d.dir); err != nil {
		return writeError(d.dir, err)
	}
	o.crash("durable")
	if o.Prove == nil {
		return nil
	}
	if err := j.to(proving); err != nil {
		return err
	}
	if err := p.proveIn(ctx, d, o, rep); err != nil {
		return err
	}
	o.crash("proved")
	return nil
}

// sweep removes what the plan does not lay: after everything was put aside that is only what an interrupted run, or PostgreSQL
// while it was proved, has left.
func (p *Plan) sweep(d folder) error {
	kinds, anew := p.kinds(), map[string]bool{}
	for _, t := range p.trees {
		for _, f := range t.files {
			anew[f.path] = p.replaced(f)
		}
	}
	return p.each(d, func(rel string, e fs.DirEntry) error {
		if lays(kinds, rel, e.Type()) && !anew[rel] {
			return nil
		}
		if err := d.root.RemoveAll(rel); err != nil {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}

// watched tells of every file that is opened to be changed.
type watched struct {
	folder
	o Options
}

func (w watched) open(f *file) (output, error) {
	out, err := w.folder.open(f)
	w.o.crash("file opened")
	return out, err
}

// afterFailure takes everything back, unless the same command can finish it later.
func (p *Plan) afterFailure(ctx context.Context, d folder, j *journal, o Options, rep progress.Reporter, err error) error {
	if k := uerr.KindOf(err); k == uerr.Unreachable || k == uerr.Interrupted || ctx.Err() != nil {
		return uerr.New(k, opInPlace, p.Target, err, "run the same command again to finish it; or take it back: practicectl restore undo --target "+p.Target)
	}
	if back := p.undo(ctx, d, j, o, rep); back != nil {
		return errors.Join(err, back)
	}
	return uerr.New(uerr.KindOf(err), opInPlace, p.Target, err, "everything is as it was before; an older snapshot may do: practicectl backup list")
}

// Undo takes an unfinished restore in place back: the target is then what it was before. Error kinds: NotFound (nothing to take
// back), Precond (its PostgreSQL runs), Unreachable, Integrity.
func (p *Plan) Undo(ctx context.Context, o Options, rep progress.Reporter) error {
	if err := p.checkStopped(); err != nil {
		return err
	}
	d, err := openFolder(p.Target, o.Own)
	if err != nil {
		return err
	}
	defer d.root.Close() // everything was made durable before
	j, err := p.resumeJournal()
	if err != nil {
		return err
	}
	if j == nil {
		return uerr.New(uerr.NotFound, "take back the restore of", p.Target, errors.New("none is unfinished"), "")
	}
	return p.undo(ctx, d, j, o, rep)
}

// undo takes back what was begun. Once the copy was started, PostgreSQL has changed more than was kept: the snapshot is laid once
// more first, so that everything that was not kept is as it was when it was compared.
func (p *Plan) undo(ctx context.Context, d folder, j *journal, o Options, rep progress.Reporter) error {
	ctx = context.WithoutCancel(ctx)
	started := j.Started || j.State == proving
	j.Started = started
	if err := j.to(undoing); err != nil {
		return err
	}
	o.crash("undo begun")
	if started {
		if err := p.layAgain(ctx, d, j, rep); err != nil {
			return err
		}
	}
	o.crash("undo laid")
	if err := p.removeNew(d, j); err != nil {
		return err
	}
	o.crash("undo removed")
	if err := j.apply(d, o); err != nil {
		return err
	}
	if err := syncTree(d.dir); err != nil {
		return writeError(d.dir, err)
	}
	o.crash("undo durable")
	return j.remove()
}

// layAgain brings the files of the snapshot back that were there before and that were not kept.
func (p *Plan) layAgain(ctx context.Context, d folder, j *journal, rep progress.Reporter) error {
	before := j.paths()
	wanted := func(f *file) bool { return before[f.path] && !p.replaced(f) }
	if err := p.readTrees(ctx); err != nil { // the ops of everything
		return err
	}
	if err := p.surveyFor(ctx, d, rep); err != nil {
		return err
	}
	if err := d.make(p, wanted); err != nil {
		return err
	}
	return p.fetch(ctx, d, rep.Task("put back", progress.Bytes, p.toWrite()), wanted)
}

// leftAlone are entries of a data folder that are none of the cluster's data; what PostgreSQL makes anew is not kept either.
func (p *Plan) leftAlone(rel string) bool {
	name, err := filepath.Rel(p.data, rel)
	if err != nil || strings.HasPrefix(name, "..") {
		return false
	}
	switch filepath.ToSlash(name) {
	case "log", "pg_log", "current_logfiles", "postmaster.opts":
		return true
	}
	return false
}

// each calls fn for everything below the trees of the target, folders before what is in them. fn may return fs.SkipDir.
func (p *Plan) each(d folder, fn func(rel string, e fs.DirEntry) error) error {
	for _, top := range p.tops() {
		err := fs.WalkDir(d.root.FS(), filepath.ToSlash(top), func(name string, e fs.DirEntry, err error) error {
			rel := filepath.FromSlash(name)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case rel == top:
				return nil
			case p.leftAlone(rel):
				if e.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			return fn(rel, e)
		})
		if err != nil {
			return writeError(filepath.Join(d.dir, top), err)
		}
	}
	return nil
}

// tops are the folders of the target that are made what the snapshot says.
func (p *Plan) tops() []string {
	if p.data == "." {
		return []string{"."}
	}
	var out []string
	for _, t := range p.body.Trees {
		out = append(out, p.treeDir(t.Name))
	}
	if p.body.Database != nil && len(p.body.Database.Tablespaces) > 0 {
		out = append(out, tablespacesDir)
	}
	return out
}

// removeNew removes what was not there before.
func (p *Plan) removeNew(d folder, j *journal) error {
	before := j.paths()
	return p.each(d, func(rel string, e fs.DirEntry) error {
		switch {
		case slices.Contains(j.Aside, rel) && e.IsDir():
			return fs.SkipDir // what is in it was not listed: it comes back as a whole, or is back
		case before[rel]:
			return nil
		}
		if err := d.root.RemoveAll(rel); err != nil {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}

// lays tells whether something of that kind is laid at a path, other than a link, which is always made anew.
func lays(kinds map[string]fs.FileMode, rel string, kind fs.FileMode) bool {
	want, ok := kinds[rel]
	return ok && want == kind && kind&fs.ModeSymlink == 0
}
