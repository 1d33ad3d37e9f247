package wal

import (
	"cmp"
	"slices"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
)

// Window is a stretch of a timeline of which every point can be restored: a snapshot lies before it, or on the timeline that
// it branched off from, and no log is missing in between.
type Window struct {
	System   uint64        `json:"system_identifier,string"`
	Timeline uint32        `json:"timeline"`
	From     pgcluster.LSN `json:"from_lsn"`
	To       pgcluster.LSN `json:"to_lsn"`
	FromTime time.Time     `json:"from"` // when the snapshot was committed, or the timeline began
	ToTime   time.Time     `json:"to"`   // when the last log was stored, by the store's clock
}

// Holds tells whether a position can be restored.
func (w Window) Holds(at pgcluster.LSN) bool { return w.From <= at && at <= w.To }

// Windows are what can be restored, by cluster and timeline in the order of the log. Snapshots without a database do not
// count. It needs no key.
func (c Catalogue) Windows(snapshots []repo.Header) []Window {
	w := windows{c: c, points: map[place][]point{}, segment: map[uint64]pgcluster.LSN{}, found: map[place][]Window{}}
	for _, s := range snapshots {
		if s.Database == nil {
			continue
		}
		start, errStart := pgcluster.ParseLSN(s.Database.Start)
		stop, errStop := pgcluster.ParseLSN(s.Database.Stop)
		if errStart != nil || errStop != nil {
			continue // signed nonsense is for verify to tell
		}
		at := place{s.Database.System, s.Database.Timeline}
		segment := pgcluster.LSN(cmp.Or(s.Database.Segment, Unit))
		w.segment[s.Database.System] = segment
		w.points[at] = append(w.points[at], point{start - start%segment, stop, s.Committed})
	}
	var places []place
	for _, f := range c.Stretches {
		if at := (place{f.System, f.Timeline}); len(places) == 0 || places[len(places)-1] != at {
			places = append(places, at)
		}
	}
	out := []Window{}
	for _, at := range places {
		out = append(out, w.of(at)...)
	}
	return out
}

type place struct {
	system   uint64
	timeline uint32
}

// point is a snapshot: from stop on the database is consistent, and log from start on is needed, the beginning of a segment.
type point struct {
	start, stop pgcluster.LSN
	committed   time.Time
}

type windows struct {
	c       Catalogue
	points  map[place][]point
	segment map[uint64]pgcluster.LSN // bytes, by system
	found   map[place][]Window
}

// of finds the windows of a timeline; those of its ancestors come first.
func (w *windows) of(at place) []Window {
	if done, ok := w.found[at]; ok {
		return done
	}
	w.found[at] = nil
	starts := slices.Clone(w.points[at])
	if b, ok := w.c.branch(at.system, at.timeline); ok {
		inherited := slices.ContainsFunc(w.of(place{at.system, b.Parent}), func(p Window) bool { return p.Holds(b.At) })
		if inherited {
			starts = append(starts, point{b.At - b.At%w.segment[at.system], b.At, b.Modified})
		}
	}
	slices.SortFunc(starts, func(a, b point) int { return cmp.Compare(a.stop, b.stop) })
	var out []Window
	for _, s := range starts {
		if n := len(out); n > 0 && out[n-1].To >= s.stop && w.c.End(at.system, at.timeline, s.start) == out[n-1].To {
			continue // in the window already
		}
		picked, end := w.c.Cover(at.system, at.timeline, s.start, ^pgcluster.LSN(0))
		if end < s.stop || len(picked) == 0 {
			continue // its own log is not there
		}
		to := s.committed
		for _, f := range picked {
			if f.Modified.After(to) {
				to = f.Modified
			}
		}
		out = append(out, Window{at.system, at.timeline, s.stop, end, s.committed, to})
	}
	w.found[at] = out
	return out
}
