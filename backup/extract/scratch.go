// Package extract copies single tables and documents out of a snapshot. They lie in rows, so the snapshot's database is restored
// into a scratch folder, started where nobody reaches it, asked, and removed again, whatever happens.
package extract

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Options of an extraction.
type Options struct {
	Dir      string                                                           // in which the scratch folder is made; it needs room for the whole database
	Account  *pgcluster.Account                                               // runs PostgreSQL when the caller is root
	Own      func(path string) error                                          // gives files to that account; nil: they stay the caller's
	Binaries func(ctx context.Context, major int) (pgcluster.Binaries, error) // finds the programs of a major version
	Now      func() time.Time
}

// Scratch is a database that was restored only to be asked.
type Scratch struct {
	Snapshot string // id

	dir      string
	instance *proof.Instance
}

// Open restores the database of a snapshot into a scratch folder and starts it there. Close it in any case, also after an error.
// Error kinds: NotFound (no snapshot, or none with a database; no PostgreSQL of its version), and those of a restore.
func Open(ctx context.Context, r *backup.Repo, snapshot string, o Options, p progress.Reporter) (s *Scratch, err error) {
	s = &Scratch{}
	if s.dir, err = os.MkdirTemp(o.Dir, "practicectl-scratch-"); err != nil {
		return s, uerr.New(uerr.Precond, "make a scratch folder in", o.Dir, err, "name another place with --dir")
	}
	if o.Own != nil {
		if err := o.Own(s.dir); err != nil {
			return s, uerr.New(uerr.Precond, "make a scratch folder in", o.Dir, err, "")
		}
	}
	plan, err := backup.PlanRestore(ctx, r, backup.Target{Snapshot: snapshot, Dir: filepath.Join(s.dir, "copy"), ClusterOnly: true})
	if err != nil {
		return s, err
	}
	s.Snapshot = plan.Snapshot.ID
	if !plan.HasDatabase() {
		return s, uerr.New(uerr.NotFound, "find the database in snapshot", plan.Snapshot.ID, errors.New("it has none"), "practicectl backup list")
	}
	bin, err := o.Binaries(ctx, plan.Snapshot.Database.Major)
	if err != nil {
		return s, err
	}
	if _, err := backup.Restore(ctx, plan, backup.RestoreOptions{Own: o.Own, Now: o.Now}, p); err != nil {
		return s, err
	}
	task := p.Task("start", progress.Items, 1)
	defer task.Done()
	s.instance, err = proof.Open(ctx, proof.Options{Bin: bin, Account: o.Account, Data: plan.DataDir(plan.Target)})
	return s, err
}

// Close stops the database and removes everything that was laid.
func (s *Scratch) Close() error {
	var err error
	if s.instance != nil {
		err = s.instance.Close(context.Background()) // it has to be stopped and removed also when the caller was interrupted
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	if err != nil {
		return uerr.New(uerr.Failed, "remove the scratch folder", s.dir, err, "it holds patients' data: remove it by hand")
	}
	return nil
}

// ask calls fn with a read-only connection to a database of the scratch instance.
func (s *Scratch) ask(ctx context.Context, database string, fn func(conn *pgx.Conn) error) error {
	conn, err := s.instance.Connect(ctx, database)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SET default_transaction_read_only = on")
	if err == nil {
		err = fn(conn)
	}
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}
