// Package pgsource reads a running PostgreSQL cluster for a snapshot: pg_backup_start, the files that belong to a backup,
// every new page proved by its checksum, pg_control last, pg_backup_stop, and the log in between.
//
// What is left out follows src/backend/backup/basebackup.c. The files may change while they are read: replaying the log
// from the start to the stop of the backup puts right whatever was caught half-way.
package pgsource

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/backup/pagemap"
	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// Options says which cluster is read.
type Options struct {
	ConnString string // of a role with REPLICATION that may run pg_backup_start and pg_backup_stop
	Data       string // the data folder, on this machine
	Label      string // of the backup
	Limits     string // version of the server whose summaries were seen to tell of the shortening of relations; empty: none
}

// Session is a backup under way on one connection. When the connection ends, so does the backup.
type Session struct {
	o       Options
	conn    *pgx.Conn
	control pgcluster.Control
	version string
	start   pgcluster.LSN
	stop    pgcluster.LSN

	summaries  string // summarize_wal; empty before PostgreSQL 17
	timeline   uint32
	probed     uint32        // relation that was made and dropped; 0: none
	probedFrom pgcluster.LSN // where the log of that begins

	stopped  chan struct{} // closed when stop is known
	received chan error
	work     sync.WaitGroup
}

// Start connects, checks that server and data folder belong together, and begins the backup. Error kinds: Unreachable,
// Auth, Precond, NotFound.
func Start(ctx context.Context, o Options) (*Session, error) {
	const op = "begin the backup of the database"
	cfg, err := pgx.ParseConfig(o.ConnString)
	if err != nil {
		return nil, uerr.New(uerr.Config, op, "", errors.New("the connection string is not valid"), "")
	}
	// The connection stands idle for as long as files are read.
	for _, name := range []string{"statement_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout", "lock_timeout"} {
		cfg.RuntimeParams[name] = "0"
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, pgcluster.ConnectError(op, cfg.Host, err)
	}
	s := &Session{o: o, conn: conn, stopped: make(chan struct{}), received: make(chan error, 1)}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(sqlError(op, err), s.Close(ctx))
	}
	return s, nil
}

func (s *Session) begin(ctx context.Context) error {
	var system int64
	var standby bool
	err := s.conn.QueryRow(ctx, "SELECT system_identifier, current_setting('server_version'), pg_is_in_recovery(), coalesce(current_setting('summarize_wal', true), '') FROM pg_control_system()").
		Scan(&system, &s.version, &standby, &s.summaries)
	if err != nil {
		return err
	}
	if s.control, err = pgcluster.ReadControl(s.o.Data); err != nil {
		return err
	}
	const op = "begin the backup of the database"
	switch {
	case s.control.SystemID != uint64(system):
		return uerr.New(uerr.Precond, op, s.o.Data, errors.New("this data folder is not that of the running server"), "check [database] in practice.toml")
	case standby:
		return uerr.New(uerr.Precond, op, s.o.Data, errors.New("this server is a standby"), "run the backup on the primary")
	case s.control.BlockSize != repo.PageSize:
		return uerr.New(uerr.Precond, op, s.o.Data, fmt.Errorf("its pages have %d bytes; only %d are supported", s.control.BlockSize, repo.PageSize), "")
	}
	if s.summarizes() == "" && s.o.Limits != s.version {
		if err := s.probe(ctx); err != nil {
			return err
		}
	}
	// A slot of this session keeps the server from dropping the log that we are about to ask for.
	if _, err := s.conn.Exec(ctx, "SELECT pg_create_physical_replication_slot('practice_backup_' || pg_backend_pid(), true, true)"); err != nil {
		return err
	}
	var at string
	if err := s.conn.QueryRow(ctx, "SELECT pg_backup_start($1, true)::text", s.o.Label).Scan(&at); err != nil {
		return err
	}
	if s.start, err = pgcluster.ParseLSN(at); err != nil {
		return err
	}
	return s.conn.QueryRow(ctx, "SELECT timeline_id::int8 FROM pg_control_checkpoint()").Scan(&s.timeline)
}

// Facts is what the next run must find unchanged before it trusts summaries.
func (s *Session) Facts() pagemap.Facts {
	return pagemap.Facts{System: s.control.SystemID, Timeline: s.timeline, Start: uint64(s.start), Checksums: s.control.DataChecksums}
}

// System is the identifier of the cluster.
func (s *Session) System() uint64 { return s.control.SystemID }

// Receive begins to stream the log from the start of the backup into rec. When the stream breaks, fail is called.
func (s *Session) Receive(ctx context.Context, rec *wal.Recorder, fail func(error)) {
	s.work.Go(func() {
		err := pgcluster.ReceiveWAL(ctx, patient(s.o.ConnString), pgcluster.ReceiveOptions{Start: s.start, Until: func() pgcluster.LSN {
			select {
			case <-s.stopped:
				return s.stop
			default:
				return 0
			}
		}}, rec.Take)
		if err != nil {
			fail(err)
		}
		s.received <- err
	})
}

// patient asks the server not to give up on a receiver that waits for a slow store: the slot of this session keeps the log.
func patient(connString string) string {
	if strings.Contains(connString, "://") {
		return connString
	}
	return connString + " options='-c wal_sender_timeout=0'"
}

// Wait returns when the stream of log has ended; its context is cancelled.
func (s *Session) Wait() { s.work.Wait() }

// End is what a finished backup is described by.
type End struct {
	Facts repo.DatabaseFacts
	Body  repo.DatabaseBody
}

var startTimeline = regexp.MustCompile(`(?m)^START TIMELINE: (\d+)$`)

// Stop ends the backup and waits until the log up to its end has come in; rec then stores the rest.
func (s *Session) Stop(ctx context.Context, rec *wal.Recorder) (End, []repo.WALObject, error) {
	const op = "end the backup of the database"
	var at, label, spaces string
	if err := s.conn.QueryRow(ctx, "SELECT lsn::text, labelfile, coalesce(spcmapfile, '') FROM pg_backup_stop(false)").Scan(&at, &label, &spaces); err != nil {
		return End{}, nil, sqlError(op, err)
	}
	var err error
	if s.stop, err = pgcluster.ParseLSN(at); err != nil {
		return End{}, nil, err
	}
	m := startTimeline.FindStringSubmatch(label)
	if m == nil {
		return End{}, nil, uerr.New(uerr.Failed, op, "", errors.New("the server's backup label has no timeline"), "")
	}
	timeline, err := strconv.ParseUint(m[1], 10, 32)
	if err != nil {
		return End{}, nil, err
	}
	close(s.stopped)
	if err := <-s.received; err != nil {
		return End{}, nil, err
	}
	objects, err := rec.Finish(s.stop)
	if err != nil {
		return End{}, nil, err
	}
	end := s.describe(uint32(timeline), label, spaces)
	stored := make([]repo.WALObject, 0, len(objects)+1)
	if timeline > 1 {
		_, history, err := pgcluster.TimelineHistory(ctx, s.o.ConnString, uint32(timeline))
		if err != nil {
			return End{}, nil, err
		}
		end.Body.History = string(history)
		o, err := rec.History(uint32(timeline), history)
		if err != nil {
			return End{}, nil, err
		}
		stored = append(stored, o)
	}
	for _, o := range objects {
		stored = append(stored, o.Stored)
		end.Body.WAL = append(end.Body.WAL, repo.WALPiece{Key: o.Stored.Key, Start: o.Start.String(), End: o.End.String()})
	}
	return end, stored, nil
}

var majorForm = regexp.MustCompile(`^\d+`)

// major is the major version of the server.
func (s *Session) major() int {
	n, err := strconv.Atoi(majorForm.FindString(s.version))
	if err != nil {
		return 0 // no version that we know
	}
	return n
}

func (s *Session) describe(timeline uint32, label, spaces string) End {
	return End{
		Facts: repo.DatabaseFacts{System: s.control.SystemID, Version: s.version, Major: s.major(), Timeline: timeline,
			Start: s.start.String(), Stop: s.stop.String(), Segment: int64(s.control.WALSegmentSize)},
		Body: repo.DatabaseBody{Label: label, TablespaceMap: spaces, Tablespaces: tablespaces(spaces), Checksums: s.control.DataChecksums != 0,
			SegmentSize: int64(s.control.WALSegmentSize)},
	}
}

// Close ends the connection, and with it a backup that was not stopped.
func (s *Session) Close(ctx context.Context) error {
	return s.conn.Close(context.WithoutCancel(ctx))
}

// code is the SQLSTATE of an error of the server.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// sqlError gives an error of the server its kind. The server's detail is left out: it may quote values.
func sqlError(op string, err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		var known *uerr.Error
		if errors.As(err, &known) || errors.Is(err, context.Canceled) {
			return err
		}
		return uerr.New(uerr.Unreachable, op, "", err, "look: practicectl db status")
	}
	why := errors.New(pg.Message)
	switch pg.Code {
	case "42501", "28000":
		return uerr.New(uerr.Auth, op, "", why, "give the role its rights again: practicectl db init")
	case "55000", "53400":
		return uerr.New(uerr.Precond, op, "", why, "set wal_level = replica and max_replication_slots = 10 in conf.d/50-local.conf")
	case "57P01", "57P02", "57P03":
		return uerr.New(uerr.Unreachable, op, "", why, "look: practicectl db status")
	}
	return uerr.New(uerr.Failed, op, "", why, "")
}
