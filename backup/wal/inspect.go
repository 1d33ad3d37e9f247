package wal

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// Ends is what the last log of a route says.
type Ends struct {
	Last      pgcluster.LSN // where the last complete record begins; 0: there is none
	Committed time.Time     // when the last transaction ended; zero: none did
}

// Inspect reads the end of a route, unit by unit, until it has found the last record and, with commits, the last transaction
// that ended.
func (c Catalogue) Inspect(ctx context.Context, r *repo.Repo, system uint64, route Route, commits bool) (Ends, error) {
	var e Ends
	for _, leg := range slices.Backward(route.Legs) {
		for end := leg.To; end > leg.From; end = (end - 1) - (end-1)%Unit {
			start := (end - 1) - (end-1)%Unit
			data, err := c.read(ctx, r, system, leg.Timeline, start, end)
			if err != nil {
				return e, err
			}
			Records(start, data, func(rec Record) bool {
				if route.Timeline == leg.Timeline {
					e.Last = max(e.Last, rec.Start)
				}
				if when, ok := rec.Ended(); ok && when.After(e.Committed) {
					e.Committed = when
				}
				return true
			})
			if e.Last != 0 && (!commits || !e.Committed.IsZero()) {
				return e, nil
			}
		}
	}
	return e, nil
}

// read joins the log from start to end. What of the beginning is not stored makes it shorter at the front of a page.
func (c Catalogue) read(ctx context.Context, r *repo.Repo, system uint64, timeline uint32, start, end pgcluster.LSN) ([]byte, error) {
	picked, reached := c.Cover(system, timeline, start, end)
	if reached < end {
		return nil, uerr.New(uerr.WALGap, "read the log in", r.Store.String(), errors.New("it is missing from "+reached.String()+" on"), "practicectl backup list")
	}
	out := make([]byte, end-start)
	for _, f := range picked {
		data, err := ReadFound(ctx, r, f)
		if err != nil {
			return nil, err
		}
		from := max(f.Start, start)
		copy(out[from-start:], data[from-f.Start:])
	}
	return out, nil
}

// FindName looks for the newest restore point of that name in what can be restored, and says where it ends. Error kinds: NotFound,
// Usage (the name was given twice).
func (c Catalogue) FindName(ctx context.Context, r *repo.Repo, windows []Window, name string, timeline uint32) (Window, pgcluster.LSN, error) {
	const op = "find the restore point"
	slices.SortStableFunc(windows, func(a, b Window) int {
		return cmp.Or(cmp.Compare(b.Timeline, a.Timeline), cmp.Compare(b.To, a.To))
	})
	for _, w := range windows {
		if timeline != 0 && w.Timeline != timeline {
			continue
		}
		at, err := c.findIn(ctx, r, w, name)
		switch {
		case err != nil:
			return w, 0, err
		case len(at) > 1:
			return w, 0, uerr.New(uerr.Usage, op, name, errors.New("several have this name, the newest at "+at[len(at)-1].String()), "say which one: --to-lsn "+at[len(at)-1].String())
		case len(at) == 1:
			return w, at[0], nil
		}
	}
	return Window{}, 0, uerr.New(uerr.NotFound, op, name, errors.New("no log that can be restored has it"), "practicectl backup list")
}

// findIn reads a window from its beginning. Each unit is read with the end of the one before it that held no complete record.
func (c Catalogue) findIn(ctx context.Context, r *repo.Repo, w Window, name string) (found []pgcluster.LSN, err error) {
	var rest []byte // from the beginning of the page on in which the first record begins that was not complete
	at := w.From - w.From%walPage
	for from := at; from < w.To; {
		end := min(from-from%Unit+Unit, w.To)
		data, err := c.read(ctx, r, w.System, w.Timeline, from, end)
		if err != nil {
			return nil, err
		}
		data = append(rest, data...)
		next := at
		more := Records(at, data, func(rec Record) bool {
			if text, ok := rec.RestorePoint(); ok && text == name && rec.End > w.From && !slices.Contains(found, rec.End) {
				found = append(found, rec.End)
			}
			next = rec.End
			return true
		})
		next -= next % walPage
		if !more || len(data) > 4*Unit { // nothing follows in this segment, or no record is so long
			next = end - end%walPage
		}
		rest, at, from = slices.Clone(data[min(next-at, pgcluster.LSN(len(data))):]), next, end
	}
	return found, nil
}
