package restore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// Replay is log that a restore replays after the snapshot, up to a point.
type Replay struct {
	To        string        `json:"to"` // the point, in words
	Timeline  uint32        `json:"timeline"`
	From      pgcluster.LSN `json:"from_lsn"` // end of the snapshot
	End       pgcluster.LSN `json:"log_end"`  // of the log that is laid; the point lies before it or is it
	Objects   int           `json:"objects"`
	Bytes     int64         `json:"bytes"` // of the objects
	Committed time.Time     `json:"last_commit,omitzero"`

	point wal.Point
	route wal.Route
	least pgcluster.LSN // the recovery must come beyond
	// history of the timelines of the route after the first, by timeline
	history map[uint32]string
}

// ReplayTo adds to the plan the log that leads to a point. Error kinds: WALGap, Integrity, Auth, Unreachable.
func (p *Plan) ReplayTo(ctx context.Context, log wal.Catalogue, route wal.Route, to wal.Point) error {
	system := p.Snapshot.Database.System
	r := &Replay{To: to.String(), Timeline: route.Timeline, From: route.Legs[0].From, End: route.Reached, point: to, route: route, history: map[uint32]string{}}
	r.Objects, r.Bytes = route.Size()
	ends, err := log.Inspect(ctx, p.repo, system, route, to.Latest || !to.Time.IsZero())
	if err != nil {
		return err
	}
	r.Committed = ends.Committed
	switch {
	case !to.Time.IsZero() && !ends.Committed.After(to.Time):
		return uerr.New(uerr.WALGap, "restore to", to.String(), fmt.Errorf("the last change in the log of the repository is of %s: whether there was another one before that moment is not known",
			committedAt(ends.Committed)), "restore what there is: --to-latest")
	case to.Latest, to.LSN != 0 && to.Name == "" && ends.Last < to.LSN: // nothing begins behind it: the end of the log is the point
		r.point, r.least = wal.Point{Latest: true}, ends.Last
	}
	for _, leg := range route.Legs[1:] {
		i := slices.IndexFunc(log.Branches, func(b wal.FoundBranch) bool { return b.System == system && b.Timeline == leg.Timeline })
		text, err := wal.ReadHistory(ctx, p.repo, log.Branches[i]) // the route goes through it
		if err != nil {
			return err
		}
		r.history[leg.Timeline] = string(text)
	}
	p.Replay = r
	p.count()
	return nil
}

func committedAt(t time.Time) string {
	if t.IsZero() {
		return "before the snapshot"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// room is what the log takes on disk.
func (r *Replay) room(segment int64) int64 {
	if r == nil {
		return 0
	}
	n := int64(0)
	for _, l := range r.route.Legs {
		n += (int64(l.To-l.From)/segment + 2) * segment
	}
	return n
}

// conf rules the first recovery: which way it goes and where it ends.
func (r *Replay) conf() string {
	set := map[string]string{"recovery_target_timeline": "current"}
	if r != nil {
		if len(r.route.Legs) > 1 {
			set["recovery_target_timeline"] = strconv.FormatUint(uint64(r.Timeline), 10)
		}
		switch to := r.point; {
		case to.Latest:
		case to.Name != "":
			set["recovery_target_name"], set["recovery_target_action"] = to.Name, "promote"
		case !to.Time.IsZero():
			set["recovery_target_time"] = to.Time.UTC().Format("2006-01-02 15:04:05.999999") + "+00"
			set["recovery_target_inclusive"], set["recovery_target_action"] = "on", "promote"
		default: // PostgreSQL's inclusive would take the record that begins there as well
			set["recovery_target_lsn"], set["recovery_target_inclusive"] = to.LSN.String(), "off"
			set["recovery_target_action"] = "promote"
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(set[name]))
	}
	return b.String()
}

// layReplay lays the log of the route beside that of the snapshot.
func (p *Plan) layReplay(ctx context.Context, d folder, data string, rep progress.Reporter) error {
	if p.Replay == nil {
		return nil
	}
	task := rep.Task("log", progress.Bytes, p.Replay.Bytes)
	defer task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, leg := range p.Replay.route.Legs {
		segments := p.segments(d, data, leg.Timeline)
		for _, f := range leg.Pieces {
			g.Go(func() error {
				plain, err := wal.ReadFound(ctx, p.repo, f)
				if err != nil {
					return err
				}
				task.Add(f.Size)
				if err := segments.Write(f.Start, plain); err != nil {
					return writeError(segments.Dir, err)
				}
				return nil
			})
		}
	}
	return g.Wait()
}

func (p *Plan) segments(d folder, data string, timeline uint32) wal.Segments {
	return wal.Segments{Dir: filepath.Join(data, "pg_wal"), Timeline: timeline, Size: uint32(p.body.Database.SegmentSize), Mode: 0o600, Owner: d.owner}
}

// reached proves that a recovery which had no point to stop at came to the end of the log: PostgreSQL tells nobody when it takes
// a damaged record for the end. The new timeline's history says where it left the old one.
func (p *Plan) reached(dir string) error {
	if p.Replay == nil || p.Replay.least == 0 {
		return nil
	}
	const op = "find where the recovery ended in"
	folder := filepath.Join(dir, p.data, "pg_wal")
	files, err := os.ReadDir(folder)
	newest := ""
	for _, f := range files { // in the order of their names
		if strings.HasSuffix(f.Name(), ".history") {
			newest = f.Name()
		}
	}
	if err != nil || newest == "" {
		return uerr.New(uerr.Integrity, op, dir, errors.Join(err, errors.New("it began no timeline of its own")), "")
	}
	text, err := os.ReadFile(filepath.Join(folder, newest))
	if err != nil {
		return uerr.New(uerr.Failed, op, dir, err, "")
	}
	entries, err := pgcluster.ParseHistory(string(text))
	if err != nil || len(entries) == 0 {
		return uerr.New(uerr.Integrity, op, dir, errors.Join(err, errors.New("its timeline has no history")), "")
	}
	if end := entries[len(entries)-1].End; end <= p.Replay.least {
		return repo.Tampered("replay the log of", p.repo.Store, p.Key, fmt.Errorf("the recovery ended at %s, and the log goes on behind %s: a record in between is damaged", end, p.Replay.least))
	}
	return nil
}
