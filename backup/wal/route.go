package wal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// Point is a moment to restore. Exactly one of LSN, Time, Name and Latest is set.
type Point struct {
	LSN      pgcluster.LSN // everything that was written before it, and nothing from it on
	Time     time.Time     // all transactions that were committed at or before it, by the database's clock
	Name     string        // of a restore point (pg_create_restore_point): everything up to it
	Latest   bool          // everything that the repository has
	Timeline uint32        // where it lies; 0: the newest timeline on which it can be restored
}

// String says the point to people.
func (p Point) String() string {
	switch {
	case p.Latest:
		return "the end of the log"
	case p.Name != "":
		return fmt.Sprintf("the restore point %q", p.Name)
	case !p.Time.IsZero():
		return p.Time.UTC().Format(time.RFC3339Nano)
	}
	return p.LSN.String()
}

// Route is the log from the end of a snapshot to a point.
type Route struct {
	Snapshot int // which of the snapshots it begins with
	Timeline uint32
	Legs     []Leg
	Reached  pgcluster.LSN // end of the log on the last leg
}

// Leg is the log of one timeline of a route.
type Leg struct {
	Timeline uint32
	From, To pgcluster.LSN // To: where the timeline was left, or where its log ends
	Pieces   []Found
}

// Size is the number of objects of a route, and of their bytes.
func (r Route) Size() (objects int, bytes int64) {
	for _, l := range r.Legs {
		objects += len(l.Pieces)
		for _, f := range l.Pieces {
			bytes += f.Size
		}
	}
	return objects, bytes
}

// Route finds the newest of the snapshots from which log leads to a point, on the newest timeline on which it does. A Name must
// have been found already: its LSN is set as well. Error kinds: WALGap, with what can be restored instead, NotFound (there is no
// snapshot of a database).
func (c Catalogue) Route(snapshots []repo.Header, to Point) (Route, error) {
	const op = "restore to"
	newest := -1
	for i, s := range snapshots {
		if s.Database != nil && (newest < 0 || !s.Created.Before(snapshots[newest].Created)) {
			newest = i
		}
	}
	if newest < 0 {
		return Route{}, uerr.New(uerr.NotFound, op, to.String(), errors.New("there is no snapshot of a database"), "practicectl backup list")
	}
	system := snapshots[newest].Database.System
	for _, timeline := range c.timelines(system, snapshots) {
		if to.Timeline != 0 && timeline != to.Timeline {
			continue
		}
		legs := c.lineage(system, timeline)
		if began := legs[len(legs)-1].began; !to.Time.IsZero() && began.After(to.Time) {
			continue // that moment lies on a timeline before
		}
		best, found := Route{}, false
		for i, s := range snapshots {
			if s.Database == nil || s.Database.System != system {
				continue
			}
			if r, ok := c.lead(legs, i, s, to); ok && (!found || r.from(best)) {
				best, found = r, true
			}
		}
		if found {
			return best, nil
		}
	}
	return Route{}, uerr.New(uerr.WALGap, op, to.String(), errors.New("the repository does not have what leads there; "+c.possible(snapshots)), "see what can be restored: practicectl backup list")
}

// from tells whether r begins later than other.
func (r Route) from(other Route) bool {
	a, b := r.Legs[0], other.Legs[0]
	return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.From, b.From)) > 0
}

// timelines are those of a cluster, the newest first.
func (c Catalogue) timelines(system uint64, snapshots []repo.Header) []uint32 {
	var out []uint32
	for _, f := range c.Stretches {
		if f.System == system {
			out = append(out, f.Timeline)
		}
	}
	for _, s := range snapshots {
		if s.Database != nil && s.Database.System == system {
			out = append(out, s.Database.Timeline)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	slices.Reverse(out)
	return out
}

// way is a timeline on the way to another one: from its branch to where it was left.
type way struct {
	system   uint64
	timeline uint32
	from, to pgcluster.LSN
	began    time.Time
}

// lineage is the timelines from the first one that is known to the given one.
func (c Catalogue) lineage(system uint64, timeline uint32) []way {
	legs := []way{{system: system, timeline: timeline, to: ^pgcluster.LSN(0)}}
	for {
		b, ok := c.branch(system, legs[0].timeline)
		if !ok {
			return legs
		}
		legs[0].from, legs[0].began = b.At, b.Modified
		legs = slices.Insert(legs, 0, way{system: system, timeline: b.Parent, to: b.At})
	}
}

// lead finds the log from a snapshot to a point along the legs.
func (c Catalogue) lead(legs []way, n int, s repo.Header, to Point) (Route, bool) {
	stop, err := pgcluster.ParseLSN(s.Database.Stop)
	first := slices.IndexFunc(legs, func(l way) bool { return l.timeline == s.Database.Timeline })
	last := len(legs) - 1
	if to.LSN != 0 {
		last = slices.IndexFunc(legs, func(l way) bool { return to.LSN <= l.to })
	}
	switch {
	case err != nil, first < 0, last < first, stop > legs[first].to, to.LSN != 0 && stop > to.LSN, !to.Time.IsZero() && s.Committed.After(to.Time):
		return Route{}, false
	}
	r := Route{Snapshot: n, Timeline: legs[last].timeline}
	segment := pgcluster.LSN(cmp.Or(s.Database.Segment, Unit))
	for i := first; i <= last; i++ {
		leg := Leg{Timeline: legs[i].timeline, From: stop, To: legs[i].to}
		if i > first {
			leg.From = legs[i].from - legs[i].from%segment
		}
		end := leg.To
		if i == last && to.LSN != 0 {
			end = min(end, to.LSN-to.LSN%Unit+2*Unit) // a record behind the point ends the recovery
		}
		leg.Pieces, r.Reached = c.Cover(legs[i].system, leg.Timeline, leg.From, end)
		if i < last && r.Reached < leg.To || i > first && r.Reached < legs[i].from {
			return Route{}, false
		}
		if i == last {
			leg.To = r.Reached
		}
		r.Legs = append(r.Legs, leg)
	}
	return r, r.Reached >= to.LSN && c.own(s, segment)
}

// own tells whether the log of a snapshot itself is there.
func (c Catalogue) own(s repo.Header, segment pgcluster.LSN) bool {
	start, errStart := pgcluster.ParseLSN(s.Database.Start)
	stop, errStop := pgcluster.ParseLSN(s.Database.Stop)
	if errors.Join(errStart, errStop) != nil {
		return false
	}
	_, reached := c.Cover(s.Database.System, s.Database.Timeline, start-start%segment, stop)
	return reached >= stop
}

// possible says what can be restored.
func (c Catalogue) possible(snapshots []repo.Header) string {
	windows := c.Windows(snapshots)
	if len(windows) == 0 {
		return "nothing can be restored to a point"
	}
	texts := make([]string, len(windows))
	for i, w := range windows {
		texts[i] = fmt.Sprintf("%s to %s (timeline %d, %s to %s)", w.FromTime.UTC().Format(time.RFC3339), w.ToTime.UTC().Format(time.RFC3339), w.Timeline, w.From, w.To)
	}
	return "it can restore " + strings.Join(texts, ", ")
}
