package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// backupRunExits are the exit codes of a run.
var backupRunExits = []uerr.Kind{uerr.Incomplete, uerr.NotFound, uerr.Locked, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.Fenced, uerr.CorruptPage, uerr.WALGap, uerr.WeakLock}

func (a *app) backupRunCmd() *cobra.Command {
	full := false
	return a.leaf(leaf{
		Use: "run", Short: "Take a snapshot now",
		Long: `Takes a snapshot of the database, the configuration and the extra paths of [backup], while the practice goes on working.
Only what is not in the repository yet is uploaded. Every snapshot is a full restore point. In a store that locks objects
nobody can delete it for 14 days, 56 when it is the first of a week, 730 when it is the first of a month.

With PostgreSQL 17 and newer only those pages are read that changed according to the log's summaries, and a fourteenth of the
others to see that the summaries tell the truth. Whenever there is a doubt, with --full, and after backup.full_read_days, every
page is read; the output says why.

Then each [[backup.copy]] is brought up to date. A copy that fails is an error, and the snapshot is stored all the same.

A run that is interrupted leaves nothing to clean up: the next one uses what is stored already.`,
		Examples: []string{"practicectl backup run", "practicectl backup run --full", "practicectl backup run --cron"},
		Args:     cobra.NoArgs,
		Exits:    backupRunExits,
		Flags:    func(f *pflag.FlagSet) { f.BoolVar(&full, "full", false, "read every page") },
		Run:      func(ctx context.Context, r *run, _ []string) error { return r.backupRun(ctx, full) },
	})
}

func (r *run) backupRun(ctx context.Context, full bool) error {
	ctx, release, err := r.lock(ctx, "backup", "backup run")
	if err != nil {
		return err
	}
	defer release()
	repository, c, err := r.openForWriting(ctx)
	if err != nil {
		if c != nil && !r.dryRun() { // a store that is away is a failed backup, and status says so
			r.remember("backup", "", err)
		}
		return err
	}
	src, err := r.backupSource(c)
	if err != nil {
		return err
	}
	if r.dryRun() {
		plan := map[string]any{"dry_run": true, "store": repository.Store.String(), "host": repository.Keys.Pin.Host, "database": src.Database.Data, "paths": src.Paths}
		return r.result(plan, func(w io.Writer) {
			fmt.Fprintf(w, "would save %s and %v\nto %s as %s\n", src.Database.Data, src.Paths, repository.Store, repository.Keys.Pin.Host)
		})
	}
	l, err := r.layout()
	if err != nil {
		return err
	}
	rep, err := backup.Run(ctx, repository, src, backup.RunOptions{Cache: l.BackupCache(), Recipients: c.Backup.Recipients, Now: r.now,
		Full: full, FullEvery: time.Duration(c.Backup.FullEvery) * 24 * time.Hour}, r.progress)
	r.rememberFacts("backup", fmt.Sprintf("%s saved, %s uploaded", size(rep.Snapshot.Bytes), size(rep.Uploaded)), r.backupFacts(ctx, repository, rep), err)
	if rep.Key == "" {
		return err
	}
	if pinned := backup.Follow(l.Cred(), repository); pinned != nil && err == nil {
		err = pinned
	}
	r.noteSnapshot(l, rep)
	// A snapshot of a damaged database is stored and shown, and the damage is the error.
	res := backupRunResult{Report: rep}
	var notCopied error
	if len(c.Backup.Copies) > 0 {
		res.Copies, notCopied = r.copySnapshots(ctx, repository, c.Backup.Copies)
	}
	if shown := r.showBackupRun(res); shown != nil {
		return shown
	}
	return cmp.Or(err, notCopied)
}

// backupFacts are the figures of a snapshot. The number of snapshots is asked for when somebody collects it.
func (r *run) backupFacts(ctx context.Context, repository *backup.Repo, rep backup.Report) map[string]float64 {
	facts := map[string]float64{"saved_bytes": float64(rep.Snapshot.Bytes), "uploaded_bytes": float64(rep.Uploaded), "duration_seconds": rep.Seconds}
	if until := rep.Snapshot.LockedUntil; !until.IsZero() {
		facts["locked_until_timestamp_seconds"] = float64(until.Unix())
	}
	if r.quietConfig().Metrics.Textfile == "" {
		return facts
	}
	n := 0
	for _, err := range repository.Store.List(ctx, repo.SnapshotPrefix) {
		if err != nil {
			return facts
		}
		n++
	}
	facts["snapshots"] = float64(n)
	return facts
}

// backupRunResult is a snapshot and how its copies went.
type backupRunResult struct {
	backup.Report
	Copies []copyResult `json:"copies,omitempty"`
}

func (r *run) showBackupRun(rep backupRunResult) error {
	return r.result(rep, func(w io.Writer) {
		rows := [][]string{{"snapshot", rep.Snapshot.ID[:12]}, {"saved", fmt.Sprintf("%s in %d files", size(rep.Snapshot.Bytes), rep.Snapshot.Files)},
			{"read", readIn(rep.Report)}, {"uploaded", size(rep.Uploaded)}, {"time", fmt.Sprintf("%.1f s", rep.Seconds)}}
		if db := rep.Snapshot.Database; db != nil {
			rows = append(rows, []string{"database", "PostgreSQL " + db.Version + ", consistent at " + db.Stop})
		}
		if until := rep.Snapshot.LockedUntil; !until.IsZero() {
			rows = append(rows, []string{"locked until", until.Format(time.RFC3339) + " (" + rep.Snapshot.Class + ")"})
		}
		table(w, rows)
		showCopies(w, rep.Copies)
	})
}

// readIn says which pages were read, and why.
func readIn(rep backup.Report) string {
	if rep.Mode == backup.Tracked {
		return fmt.Sprintf("%d of %d pages: those that changed according to the log, and %d to prove it", rep.Pages.Read, rep.Pages.Total, rep.Pages.Audited)
	}
	return "every page: " + rep.Reason
}
