package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"practicectl/backup/filesource"
	"practicectl/backup/intake"
	"practicectl/backup/pgsource"
	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/backup/writer"
	"practicectl/internal/objstore"
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
	Crash      func(point string) // called at the points where a crash is interesting; nil: none
}

// Points are the names that RunOptions.Crash is called with, in their order; "pack stored" comes once for each pack.
var Points = []string{"started", "pack stored", "files read", "database stopped", "trees stored", "packs verified", "index stored", "lists stored", "committed"}

// Report is what a snapshot cost.
type Report struct {
	Snapshot repo.Header   `json:"snapshot"`
	Key      string        `json:"key"`
	Uploaded int64         `json:"uploaded"` // bytes of all objects that this run stored
	Packs    int           `json:"packs"`    // packs that the snapshot refers to
	Seconds  float64       `json:"seconds"`
	Damaged  []repo.Damage `json:"damaged"`
}

// Run takes one snapshot. The snapshot object is the one commit point: a run that ends before it leaves packs that the
// next run uses. The caller holds the instance's backup lock. Error kinds: Unreachable, Auth, NoSpace, Integrity, Precond,
// WALGap, Fenced; CorruptPage comes with a committed snapshot that says which pages were damaged at the source.
func Run(ctx context.Context, r *Repo, src Source, o RunOptions, p progress.Reporter) (Report, error) {
	began := o.Now()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	j := &job{repo: r, src: src, o: o, p: p, fail: fail}
	for _, step := range []func(context.Context) error{
		j.check,         // may this host write, and for whom
		j.openWriter,    // what is stored already
		j.startDatabase, // the log streams from here on
		j.readFiles,
		j.stopDatabase, // pg_control last; the log is durable up to the end
		j.writeTrees,
		j.verifyPacks, // what the snapshot will refer to is there
		j.writeIndex,
		j.writeLists,
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
	rep := Report{Snapshot: j.header, Key: j.key, Uploaded: j.uploaded(), Packs: len(j.used), Seconds: o.Now().Sub(began).Seconds(), Damaged: j.header.Damaged}
	return rep, damaged(rep)
}

// job is one run under way.
type job struct {
	repo *Repo
	src  Source
	o    RunOptions
	p    progress.Reporter
	fail context.CancelCauseFunc

	host     string
	header   repo.Header
	body     repo.Body
	writer   *writer.Writer
	db       *pgsource.Session
	log      *wal.Recorder
	trees    map[string][]intake.Saved
	used     []repo.StoredPack
	key      string
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
	if err != nil {
		return err
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	created := j.o.Now().UTC().Truncate(time.Second)
	if last := parent.Header.Created; !created.After(last) {
		created = last.Add(time.Second) // a clock that went back must not make this snapshot look older than the last
	}
	j.header = repo.Header{
		Format: repo.Format, Repository: j.repo.Root.ID, ID: hex.EncodeToString(id[:]), Parent: parent.Header.ID, Host: j.host, Created: created,
		Mode: "full-read", Generation: j.repo.Settings.Generation, Epoch: j.repo.Settings.Epoch, WAL: []repo.WALObject{}, Damaged: []repo.Damage{},
	}
	j.key = repo.SnapshotKey(j.host, created, j.header.ID)
	j.body = repo.Body{Format: repo.Format, Snapshot: j.header.ID}
	j.trees = map[string][]intake.Saved{}
	return nil
}

func (j *job) openWriter(ctx context.Context) (err error) {
	j.writer, err = writer.Open(ctx, writer.Options{
		Store: j.repo.Store, Recipients: j.repo.Recipients, Key: *j.repo.Keys.Index, Host: j.host, PackSize: j.o.PackSize, Cache: j.o.Cache, Crash: j.o.Crash,
	})
	return err
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

func (j *job) verifyPacks(ctx context.Context) error {
	if err := j.writer.VerifyStored(ctx, j.used); err != nil {
		return err
	}
	j.crash("packs verified")
	return nil
}

func (j *job) writeIndex(ctx context.Context) error {
	n, err := j.writer.WriteIndex(ctx)
	j.extra += n
	if err != nil {
		return err
	}
	j.crash("index stored")
	return nil
}

func (j *job) writeLists(ctx context.Context) error {
	inline, lists, order := repo.SplitPacks(j.used)
	j.header.Packs, j.header.PackLists = inline, order
	for name, data := range lists {
		key := repo.PackListPrefix + name
		switch err := repo.Create(ctx, j.repo.Store, key, data); {
		case errors.Is(err, objstore.ErrExists):
		case err != nil:
			return repo.StoreError("store the list of packs in", j.repo.Store, key, err)
		default:
			j.extra += int64(len(data))
		}
	}
	j.crash("lists stored")
	return nil
}

func (j *job) uploaded() int64 {
	n := j.extra + j.writer.Added()
	if j.log != nil {
		n += j.log.Added()
	}
	return n
}

func (j *job) commit(ctx context.Context) error {
	body, err := repo.SealBody(j.body, j.repo.Recipients)
	if err != nil {
		return err
	}
	j.header.Added = j.uploaded()
	j.header.Committed = j.o.Now().UTC().Truncate(time.Second)
	j.snapshot, err = repo.EncodeSnapshot(j.header, body, j.repo.Keys.Signing)
	if err != nil {
		return err
	}
	if err := repo.Create(ctx, j.repo.Store, j.key, j.snapshot); err != nil {
		return repo.StoreError("commit the snapshot to", j.repo.Store, j.key, err)
	}
	j.extra += int64(len(j.snapshot))
	j.crash("committed")
	return nil
}

// readBack proves that the store gives back what it took; then nothing has to be remembered about packs on their way.
func (j *job) readBack(ctx context.Context) error {
	const op = "read back the snapshot"
	data, err := repo.ReadObject(ctx, j.repo.Store, j.key, int64(len(j.snapshot)))
	if err != nil {
		return repo.StoreError(op, j.repo.Store, j.key, err)
	}
	if !bytes.Equal(data, j.snapshot) {
		return repo.Tampered(op, j.repo.Store, j.key, errors.New("the store gives back other bytes than it took"))
	}
	j.header, _, err = repo.ParseSnapshot(j.key, data, j.repo.Settings)
	if err != nil {
		return repo.Tampered(op, j.repo.Store, j.key, err)
	}
	return j.writer.Committed()
}

func (j *job) closeDatabase(ctx context.Context) error {
	if j.db == nil {
		return nil
	}
	return j.db.Close(ctx)
}

// damaged is the error of a snapshot that was committed although pages were damaged: better than none, and not success.
func damaged(rep Report) error {
	if len(rep.Damaged) == 0 {
		return nil
	}
	first := rep.Damaged[0]
	return uerr.New(uerr.CorruptPage, "the snapshot is stored, but the database has", fmt.Sprintf("%d damaged pages", len(rep.Damaged)),
		fmt.Errorf("the first is block %d of %s", first.Block, first.Path),
		"earlier snapshots may hold them whole: practicectl backup list; then look at the disk")
}
