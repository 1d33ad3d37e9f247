package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"practicectl/backup/collect"
	"practicectl/backup/filesource"
	"practicectl/backup/intake"
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

	began    time.Time
	host     string
	header   repo.Header
	body     repo.Body
	keeper   *retain.Keeper // nil: the store does not lock objects
	writer   *writer.Writer
	db       *pgsource.Session
	log      *wal.Recorder
	trees    map[string][]intake.Saved
	used     []repo.StoredPack
	key      string
	stored   []string // lists of packs that an earlier run stored
	snapshot []byte
	extra    int64 // bytes stored besides packs and log
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
	parent, err := j.repo.Latest(ctx, j.host)
	if uerr.KindOf(err) == uerr.Integrity {
		// Whoever can add an object must not be able to stop the backups with it.
		j.p.Warn("%v. This snapshot does not depend on it; look: practicectl backup verify", err)
		err = nil
	}
	if err != nil {
		return err
	}
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
		Mode: "full-read", Generation: j.repo.Settings.Generation, Epoch: j.repo.Settings.Epoch, WAL: []repo.WALObject{}, Damaged: []repo.Damage{},
	}
	j.key = repo.SnapshotKey(j.host, created, j.header.ID)
	j.lockFor(parent.Header)
	j.body = repo.Body{Format: repo.Format, Snapshot: j.header.ID}
	j.trees = map[string][]intake.Saved{}
	return nil
}

func (j *job) openWriter(ctx context.Context) (err error) {
	absent, err := collect.Absent(ctx, j.repo)
	if err != nil {
		return err
	}
	j.writer, err = writer.Open(ctx, writer.Options{
		Store: j.repo.Store, Recipients: j.repo.Recipients, Key: *j.repo.Keys.Index, Host: j.host, Generation: j.repo.Settings.Generation, PackSize: j.o.PackSize, Absent: absent, Cache: j.o.Cache, Crash: j.o.Crash,
	})
	if err != nil {
		return err
	}
	for _, junk := range j.writer.Junk() {
		j.p.Warn("%v. What it names is stored again", junk)
	}
	return nil
}

func (j *job) startDatabase(ctx context.Context) (err error) {
	if j.src.Database == nil {
		j.crash("started")
		return nil
	}
	j.db, err = pgsource.Start(ctx, pgsource.Options{ConnString: j.src.Database.ConnString, Data: j.src.Database.Data, Label: "practicectl " + j.header.ID})
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
	var total int64
	if j.db != nil {
		files, err := j.db.Files(ctx)
		if err != nil {
			return err
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
		saved, err := intake.Files(ctx, j.writer, files, task)
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
	control, err := intake.Files(ctx, j.writer, []intake.File{j.db.Control()}, progress.None.Task("", progress.Bytes, 0))
	if err != nil {
		return err
	}
	j.trees[DatabaseTree] = append(j.trees[DatabaseTree], control...)
	end, log, err := j.db.Stop(ctx, j.log)
	if err != nil {
		return err
	}
	j.header.Database, j.header.WAL, j.body.Database = &end.Facts, log, &end.Body
	j.crash("database stopped")
	return nil
}

func (j *job) writeTrees(context.Context) error {
	if err := j.writer.Seal(); err != nil {
		return err
	}
	grove, err := intake.NewGrove(j.writer)
	if err != nil {
		return err
	}
	for _, name := range []string{DatabaseTree, FilesTree} {
		if tree, ok := j.trees[name]; ok {
			grove.Add(name, tree)
			j.noteDamage(tree)
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
	j.used = grove.Used()
	j.crash("trees stored")
	return nil
}

func (j *job) noteDamage(tree []intake.Saved) {
	for _, s := range tree {
		for _, block := range s.Damaged {
			j.header.Damaged = append(j.header.Damaged, repo.Damage{Path: s.Entry.Path, Block: block})
			j.p.Warn("damaged page: %s block %d", s.Entry.Path, block)
		}
	}
}

func (j *job) closeDatabase(ctx context.Context) error {
	if j.db == nil {
		return nil
	}
	return j.db.Close(ctx)
}

// wait returns when uploads and the stream of log have ended; their context is cancelled.
func (j *job) wait() {
	if j.writer != nil {
		j.writer.Wait()
	}
	if j.db != nil {
		j.db.Wait()
		j.log.Wait()
	}
}
