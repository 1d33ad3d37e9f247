package pgsource

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/backup/intake"
	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
)

// Tracked mode asks the server which pages of main forks changed since the last snapshot (WAL summaries, PostgreSQL 17 and
// newer). Everything that could make the answer incomplete is looked at first. A doubt is never an error: all pages are read.

// Changes is which pages changed between the beginning of the last snapshot and that of this one.
type Changes struct {
	relations map[relationID]*changed
	databases map[uint32]bool // created or dropped meanwhile: nothing in them is known
	start     pgcluster.LSN
	checksums bool
	segment   uint32 // blocks of a relation's file
}

// relationID names a relation by its files.
type relationID struct{ space, database, node uint32 }

type changed struct {
	limit int64    // the fork was this short once
	bits  []uint64 // a bit for each block
}

// patience bounds the wait for the summarizer.
const patience = 60 * time.Second

// Track returns what changed since the snapshot that facts describe, whose witness must be found, or the reason why that
// cannot be told.
func (s *Session) Track(ctx context.Context, facts pagemap.Facts, witness string) (*Changes, string, error) {
	reason, err := s.comparable(ctx, facts, witness)
	if reason != "" || err != nil {
		return nil, reason, sqlError("compare the database with the last snapshot", err)
	}
	from := pgcluster.LSN(facts.Start)
	reason, err = s.summarized(ctx)
	if reason == "" && err == nil {
		reason, err = s.contiguous(ctx, from)
	}
	if reason != "" || err != nil {
		return nil, reason, sqlError("read the log's summaries", err)
	}
	c, err := s.changes(ctx, from)
	return c, "", sqlError("read the log's summaries", err)
}

// comparable tells whether this is the cluster of the last snapshot, in a state that follows it.
func (s *Session) comparable(ctx context.Context, facts pagemap.Facts, witness string) (reason string, err error) {
	switch reason := s.summarizes(); {
	case reason != "":
		return reason, nil
	case facts.System != s.control.SystemID:
		return "this is another cluster than that of the last snapshot", nil
	case facts.Timeline != s.timeline:
		return fmt.Sprintf("the database went from timeline %d to timeline %d", facts.Timeline, s.timeline), nil
	case facts.Checksums != s.control.DataChecksums:
		return "page checksums were switched on or off", nil
	case pgcluster.LSN(facts.Start) > s.start:
		return "the log went back behind the last snapshot", nil
	case facts.Limits != s.version:
		return "PostgreSQL " + s.version + " was not seen yet to summarize the shortening of tables", nil
	case witness == "":
		return "the last snapshot left no witness in the database", nil
	}
	var found bool
	err = s.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM practice_ops.witness WHERE token = $1)", witness).Scan(&found)
	if refused(err) {
		return "the witness in the database cannot be read", nil
	}
	if err == nil && !found {
		reason = "the witness of the last snapshot is not in the database: it is a copy, or was set back"
	}
	return reason, err
}

// summarizes tells why the server's log has no summaries; empty: it has.
func (s *Session) summarizes() string {
	switch {
	case s.major() < 17:
		return fmt.Sprintf("PostgreSQL %d does not summarize its log", s.major())
	case s.summaries != "on":
		return "summarize_wal is off"
	}
	return ""
}

// summarized waits until the log is summarized up to the start of this backup.
func (s *Session) summarized(ctx context.Context) (reason string, err error) {
	for waited := time.Duration(0); ; {
		var timeline int64
		var at string
		if err := s.conn.QueryRow(ctx, "SELECT summarized_tli, summarized_lsn::text FROM pg_get_wal_summarizer_state()").Scan(&timeline, &at); err != nil {
			return "", err
		}
		lsn, err := pgcluster.ParseLSN(at)
		switch {
		case err != nil:
			return "", err
		case lsn >= s.start && timeline == int64(s.timeline):
			return "", nil
		case waited >= patience:
			return fmt.Sprintf("the log is summarized up to %s only, and this snapshot begins at %s", lsn, s.start), nil
		}
		pause := min(max(5*time.Millisecond, waited/4), time.Second)
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pause):
			waited += pause
		}
	}
}

// summary is one of the server's summaries.
type summary struct {
	timeline   int64
	start, end pgcluster.LSN
}

// overlapping lists the summaries of the log between from and the start of this backup, in its order.
func (s *Session) overlapping(ctx context.Context, from pgcluster.LSN) ([]summary, error) {
	rows, err := s.conn.Query(ctx, `SELECT tli, start_lsn::text, end_lsn::text FROM pg_available_wal_summaries()
		WHERE end_lsn > $1::text::pg_lsn AND start_lsn < $2::text::pg_lsn ORDER BY start_lsn, end_lsn`, from.String(), s.start.String())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (out summary, err error) {
		var start, end string
		if err := row.Scan(&out.timeline, &start, &end); err != nil {
			return out, err
		}
		if out.start, err = pgcluster.ParseLSN(start); err == nil {
			out.end, err = pgcluster.ParseLSN(end)
		}
		return out, err
	})
}

// contiguous tells whether the summaries leave nothing out.
func (s *Session) contiguous(ctx context.Context, from pgcluster.LSN) (reason string, err error) {
	all, err := s.overlapping(ctx, from)
	if err != nil {
		return "", err
	}
	return gap(all, from, s.start, s.timeline), nil
}

// gap finds what summaries, in the order of their starts, leave out between from and to.
func gap(all []summary, from, to pgcluster.LSN, timeline uint32) string {
	at := from
	for _, one := range all {
		switch {
		case one.timeline != int64(timeline):
			return fmt.Sprintf("a summary of the log is of timeline %d", one.timeline)
		case one.start > at:
			return fmt.Sprintf("the log from %s to %s has no summary", at, one.start)
		}
		at = max(at, one.end)
	}
	if at < to {
		return fmt.Sprintf("the log from %s to %s has no summary", at, to)
	}
	return ""
}

// mainFork is the fork number of what is tracked.
const mainFork = 0

func (s *Session) changes(ctx context.Context, from pgcluster.LSN) (*Changes, error) {
	c := &Changes{relations: map[relationID]*changed{}, databases: map[uint32]bool{}, start: s.start, checksums: s.control.DataChecksums != 0, segment: s.control.RelationSegment}
	all, err := s.overlapping(ctx, from)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		rows, err := s.conn.Query(ctx, `SELECT relfilenode, reltablespace, reldatabase, relforknumber, relblocknumber, is_limit_block
			FROM pg_wal_summary_contents($1, $2::text::pg_lsn, $3::text::pg_lsn)`, one.timeline, one.start.String(), one.end.String())
		if err != nil {
			return nil, err
		}
		var r relationID
		var fork int16
		var block int64
		var limit bool
		_, err = pgx.ForEachRow(rows, []any{&r.node, &r.space, &r.database, &fork, &block, &limit}, func() error {
			c.note(r, fork, block, limit)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Changes) note(r relationID, fork int16, block int64, limit bool) {
	if r.node == 0 {
		c.databases[r.database] = true
		return
	}
	if fork != mainFork {
		return // all other forks are read whole: the summaries miss changes of the visibility map
	}
	ch := c.relations[r]
	if ch == nil {
		ch = &changed{limit: math.MaxInt64}
		c.relations[r] = ch
	}
	if limit {
		ch.limit = min(ch.limit, block)
		return
	}
	for int64(len(ch.bits)) <= block/64 {
		ch.bits = append(ch.bits, 0)
	}
	ch.bits[block/64] |= 1 << (block % 64)
}

// Mark says of each file which of its pages may have changed. Files without a mark are read whole: all that are not main
// forks, those of new databases, and those of one page, which cost nothing and hold the sequences.
func (c *Changes) Mark(files []intake.File) {
	for i := range files {
		f := &files[i]
		r, segment, ok := mainForkOf(f.Entry.Path)
		if !ok || f.Entry.Kind != repo.Pages || f.Entry.Size <= repo.PageSize || c.databases[r.database] {
			continue
		}
		first := int64(segment) * int64(c.segment)
		t := &intake.Track{First: uint32(first), Limit: math.MaxInt64, Explained: c.explained}
		if ch := c.relations[r]; ch != nil {
			if ch.limit != math.MaxInt64 {
				t.Limit = max(0, ch.limit-first)
			}
			t.Bits = ch.from(first)
		}
		f.Track = t
	}
}

// from are the bits of the blocks from first on.
func (ch *changed) from(first int64) []uint64 {
	if first%64 == 0 {
		return ch.bits[min(first/64, int64(len(ch.bits))):]
	}
	var t intake.Track
	for block := first; block < int64(len(ch.bits))*64; block++ {
		if ch.bits[block/64]&(1<<(block%64)) != 0 {
			t.Set(block - first)
		}
	}
	return t.Bits
}

var mainForks = regexp.MustCompile(`^(?:global|base/([0-9]+)|pg_tblspc/([0-9]+)/PG_[0-9]+_[0-9]+/([0-9]+))/([0-9]+)(?:\.([0-9]+))?$`)

// Tablespaces that are no links (catalog/pg_tablespace.dat).
const (
	defaultSpace = 1663
	globalSpace  = 1664
)

// mainForkOf tells which relation's main fork a file belongs to, and the number of the file.
func mainForkOf(path string) (r relationID, segment uint32, ok bool) {
	m := mainForks.FindStringSubmatch(path)
	if m == nil {
		return r, 0, false
	}
	number := func(s string) uint32 {
		n, err := strconv.ParseUint(s, 10, 32)
		ok = ok && (err == nil || s == "")
		return uint32(n)
	}
	ok = true
	switch {
	case m[1] != "":
		r = relationID{defaultSpace, number(m[1]), 0}
	case m[2] != "":
		r = relationID{number(m[2]), number(m[3]), 0}
	default:
		r = relationID{globalSpace, 0, 0}
	}
	r.node, segment = number(m[4]), number(m[5])
	return r, segment, ok
}

// explained judges a page that is not what the last snapshot holds, although no summary names it.
func (c *Changes) explained(before repo.Trace, zero bool, page []byte, block uint32) (explained, stale bool) {
	lsn := repo.PageLSN(page)
	switch {
	case pgcluster.LSN(lsn) >= c.start:
		return true, false // changed since the backup began
	case zero && lsn == 0 && emptyPage(page):
		return true, false // added to the relation, and not used yet
	case block == 0 && spGistMeta(page):
		return true, false // holds nothing but a cache
	case !c.checksums && !zero && before.LSN() == lsn:
		return true, true // hint bits, which are not logged without checksums
	}
	return false, false
}

// refused tells whether the server has no such table or does not let us at it.
func refused(err error) bool {
	return slices.Contains([]string{"42P01", "42501", "3F000", "42883"}, code(err))
}

// probe makes a relation and drops it, so that the end of the run can see whether the server's summaries tell of it. It must be
// called before the backup begins.
func (s *Session) probe(ctx context.Context) error {
	var before string
	if err := s.conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&before); err != nil {
		return err
	}
	lsn, err := pgcluster.ParseLSN(before)
	if err != nil {
		return err
	}
	var node uint32
	err = s.conn.QueryRow(ctx, "SELECT practice_ops.probe_relation()").Scan(&node)
	if refused(err) {
		return nil // an older installation: pages are read in full until `db init` was run again
	}
	s.probed, s.probedFrom = node, lsn
	return err
}

// Limits is the version of the server when its summaries were seen to tell of the shortening of relations; empty: not seen.
func (s *Session) Limits(ctx context.Context, facts pagemap.Facts) (string, error) {
	if s.summarizes() == "" && facts.Limits == s.version {
		return facts.Limits, nil
	}
	if s.probed == 0 {
		return "", nil
	}
	reason, err := s.summarized(ctx)
	if reason != "" || err != nil {
		return "", sqlError("read the log's summaries", err)
	}
	var seen bool
	err = s.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) c
		WHERE s.end_lsn > $1::text::pg_lsn AND c.relfilenode = $2 AND c.is_limit_block)`, s.probedFrom.String(), s.probed).Scan(&seen)
	if err != nil || !seen {
		return "", sqlError("read the log's summaries", err)
	}
	return s.version, nil
}

// Witness leaves a token in the database, from which the next run sees that the database is a later state of this one. It must
// be called when all files are read: a database that was set back to a moment before has no token then. False: there is no
// table for it.
func (s *Session) Witness(ctx context.Context, token string) (bool, error) {
	_, err := s.conn.Exec(ctx, "INSERT INTO practice_ops.witness (token) VALUES ($1)", token)
	if refused(err) {
		return false, nil
	}
	return err == nil, sqlError("leave a witness in the database", err)
}

// Relation is the name of the relation that a file belongs to; empty when it cannot be told.
func (s *Session) Relation(ctx context.Context, path string) string {
	r, _, ok := mainForkOf(path)
	if !ok {
		return ""
	}
	var name *string
	err := s.conn.QueryRow(ctx, `SELECT pg_filenode_relation(CASE WHEN $1::oid = 1663 THEN 0 ELSE $1::oid END, $2)::regclass::text
		WHERE $3::oid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))`, r.space, r.node, r.database).Scan(&name)
	if err != nil || name == nil {
		return "" // the name is a help only
	}
	return *name
}
