package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"practicectl/backup/collect"
	"practicectl/backup/filesource"
	"practicectl/backup/intake"
	"practicectl/backup/pagemap"
	"practicectl/backup/pgsource"
	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/backup/wal"
	"practicectl/backup/writer"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// job is one run under way.
type job struct {
	repo *Repo
	src  Source
	o    RunOptions
	p    progress.Reporter
	fail context.CancelCauseFunc

	began     time.Time
	host      string
	parent    repo.Header // of the snapshot before; empty: none that can be relied on
	header    repo.Header
	body      repo.Body
	keeper    *retain.Keeper // nil: the store does not lock objects
	writer    *writer.Writer
	db        *pgsource.Session
	log       *wal.Recorder
	prior     *pagemap.Map      // of the snapshot before
	doubt     string            // why there is none
	next      *pagemap.Builder  // of this one
	changes   *pgsource.Changes // nil: every page is read
	intake    *intake.Intake
	run       uint32 // number of this run in the page map
	holes     holes
	limits    string // version of the server that was seen to summarize the shortening of relations
	witness   string
	files     []pagemap.File
	frames    []pagemap.Frame
	packs     []pagemap.Pack
	retired   map[repo.PackID]bool // whose content is stored anew
	refreshed Refreshed
	requests  *counting
	trees     map[string][]intake.Saved
	used      []repo.StoredPack
	key       string
	stored    []string // lists of packs that an earlier run stored
	snapshot  []byte
	extra     int64 // bytes stored besides packs and log
}

func (j *job) crash(point string) {
	if j.o.Crash != nil {
		j.o.Crash(point)
	}
}

// because prefers the reason why the context was cancelled over the errors that the cancellation caused.
func (j *job) because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

func (j *job) check(ctx context.Context) (err error) {
	const op = "take a snapshot into"
	if j.host, err = mayWrite(j.repo, op); err != nil {
		return err
	}
	if j.o.Recipients != nil {
		if err := j.repo.CheckRecipients(j.o.Recipients); err != nil {
			return err
		}
	}
	if j.src.Database == nil && len(j.src.Paths) == 0 {
		return uerr.New(uerr.Usage, op, j.repo.Store.String(), errors.New("there is nothing to save"), "name a database or paths")
	}
	counted := *j.repo
	j.requests = &counting{Store: j.repo.Store}
	counted.Store = j.requests
	j.repo = &counted
	parent, err := j.repo.Latest(ctx, j.host)
	if uerr.KindOf(err) == uerr.Integrity {
		// Whoever can add an object must not be able to stop the backups with it.
		j.p.Warn("%v. This snapshot does not depend on it; look: practicectl backup verify", err)
		err = nil
	}
	if err != nil {
		return err
	}
	j.parent = parent.Header
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	j.began = j.o.Now()
	created := j.began.UTC().Truncate(time.Second)
	if last := parent.Header.Created; !created.After(last) {
		if last.Sub(created) < repo.Future {
			created = last.Add(time.Second) // a clock that went back must not make this snapshot look older than the last
		} else {
			j.p.Warn("the snapshot before, %s, is dated %s: a clock was wrong, or somebody made it up. This one takes the present time", parent.Header.ID[:12], last.Format(time.RFC3339))
		}
	}
	j.header = repo.Header{
		Format: repo.Format, Repository: j.repo.Root.ID, ID: hex.EncodeToString(id[:]), Parent: parent.Header.ID, Host: j.host, Created: created,
		Mode: FullRead, Generation: j.repo.Settings.Generation, Epoch: j.repo.Settings.Epoch, WAL: []repo.WALObject{}, Damaged: []repo.Damage{},
	}
	j.key = repo.SnapshotKey(j.host, created, j.header.ID)
	j.lockFor(parent.Header)
	j.body = repo.Body{Format: repo.Format, Snapshot: j.header.ID}
	return nil
}

// openWriter opens what this host remembers, and finds out what is stored.
func (j *job) openWriter(ctx context.Context) (err error) {
	if err := os.MkdirAll(j.o.Cache, 0o700); err != nil {
		return repo.CacheError(j.o.Cache, err)
	}
	j.openPrior(j.parent)
	if err := pagemap.Sweep(j.o.Cache, j.parent.ID); err != nil {
		return repo.CacheError(j.o.Cache, err)
	}
	absent, err := collect.Absent(ctx, j.repo)
	if err != nil {
		return err
	}
	if err := j.chooseRefresh(absent); err != nil {
		return err
	}
	j.writer, err = writer.Open(ctx, writer.Options{
		Store: j.repo.Store, Recipients: j.repo.Recipients, Key: *j.repo.Keys.Index, Host: j.host, Generation: j.repo.Settings.Generation, PackSize: j.o.PackSize,
		Absent: absent, Retired: j.retired, Cache: j.o.Cache, Prior: j.prior, Crash: j.o.Crash,
	})
	if err != nil {
		return err
	}
	for _, junk := range j.writer.Junk() {
		j.p.Warn("%v. What it names is stored again", junk)
	}
	if j.next, err = pagemap.Create(j.o.Cache, j.header.ID, j.pageTagger); err != nil {
		return repo.CacheError(j.o.Cache, err)
	}
	return nil
}

func (j *job) startDatabase(ctx context.Context) (err error) {
	if j.src.Database == nil {
		j.crash("started")
		return nil
	}
	j.db, err = pgsource.Start(ctx, pgsource.Options{ConnString: j.src.Database.ConnString, Data: j.src.Database.Data, Label: "practicectl " + j.header.ID, Limits: j.knownLimits()})
	if err != nil {
		return err
	}
	j.log = wal.NewRecorder(ctx, j.repo.Store, j.repo.Recipients, *j.repo.Keys.Index, j.db.System())
	j.db.Receive(ctx, j.log, j.fail)
	j.crash("started")
	return nil
}

func (j *job) readFiles(ctx context.Context) error {
	sources := map[string][]intake.File{}
	j.trees = map[string][]intake.Saved{}
	var total int64
	if j.db != nil {
		files, err := j.db.Files(ctx)
		if err != nil {
			return err
		}
		if j.changes != nil {
			j.changes.Mark(files)
		}
		sources[DatabaseTree] = files
	}
	if len(j.src.Paths) > 0 {
		files, err := filesource.Walk(j.src.Paths)
		if err != nil {
			return err
		}
		sources[FilesTree] = files
	}
	for _, files := range sources {
		for _, f := range files {
			total += f.Entry.Size
		}
	}
	task := j.p.Task("read", progress.Bytes, total)
	defer task.Done()
	for name, files := range sources {
		saved, err := j.intake.Files(ctx, name, files, task)
		if err != nil {
			return err
		}
		j.trees[name] = saved
	}
	j.crash("files read")
	return nil
}

func (j *job) stopDatabase(ctx context.Context) error {
	if j.db == nil {
		return nil
	}
	control, err := j.intake.Files(ctx, DatabaseTree, []intake.File{j.db.Control()}, progress.None.Task("", progress.Bytes, 0))
	if err != nil {
		return err
	}
	j.trees[DatabaseTree] = append(j.trees[DatabaseTree], control...)
	if err := j.leaveWitness(ctx); err != nil {
		return err
	}
	if j.limits, err = j.db.Limits(ctx, j.knownFacts()); err != nil {
		return err
	}
	end, log, err := j.db.Stop(ctx, j.log)
	if err != nil {
		return err
	}
	end.Facts.Witness = j.witness
	j.header.Database, j.header.WAL, j.body.Database = &end.Facts, log, &end.Body
	j.crash("database stopped")
	return nil
}

func (j *job) writeTrees(ctx context.Context) error {
	if err := j.writer.Seal(); err != nil {
		return err
	}
	grove, err := intake.NewGrove(j.intake)
	if err != nil {
		return err
	}
	for _, name := range []string{DatabaseTree, FilesTree} {
		if tree, ok := j.trees[name]; ok {
			grove.Add(name, tree)
			j.noteDamage(ctx, tree)
		}
	}
	if j.body.Trees, j.body.Packs, err = grove.Write(); err != nil {
		return err
	}
	for _, t := range j.body.Trees {
		j.header.Files += t.Files
		j.header.Bytes += t.Bytes
	}
	j.header.Root = repo.RootDigest(j.writer.Hasher(), j.body.Trees)
	j.used, j.files = grove.Used(), grove.Files()
	j.frames, j.packs = j.writer.Tables()
	grove.NoteChunks(j.packs)
	j.crash("trees stored")
	return nil
}

func (j *job) noteDamage(ctx context.Context, tree []intake.Saved) {
	for _, s := range tree {
		for _, d := range s.Damaged {
			j.header.Damaged = append(j.header.Damaged, d)
			name := ""
			if j.db != nil && len(j.header.Damaged) <= 20 {
				name = j.db.Relation(ctx, d.Path)
			}
			j.p.Warn("damaged page: block %d of %s %s; the snapshot holds %s", d.Block, d.Path, name, copies[d.Copy])
		}
	}
}

// copies says what a snapshot holds in the place of a damaged page.
var copies = map[repo.Copy]string{
	repo.NoCopy:    "it as it is",
	repo.OlderCopy: "the last good copy, which may lack changes",
	repo.SameCopy:  "the last good copy, since when it did not change",
}

func (j *job) closeDatabase(ctx context.Context) error {
	if j.db == nil {
		return nil
	}
	return j.db.Close(ctx)
}

// wait returns when uploads and the stream of log have ended; their context is cancelled.
func (j *job) wait() error {
	var errs []error
	if j.db != nil {
		j.db.Wait()
		j.log.Wait()
	}
	if j.writer != nil {
		errs = append(errs, j.writer.Close())
	}
	if j.prior != nil {
		errs = append(errs, j.prior.Close())
	}
	if j.next != nil {
		j.next.Abandon()
	}
	return errors.Join(errs...)
}

// knownFacts is what the last run noted of the database.
func (j *job) knownFacts() pagemap.Facts {
	if j.prior == nil {
		return pagemap.Facts{}
	}
	return j.prior.Facts
}

func (j *job) knownLimits() string { return j.knownFacts().Limits }
