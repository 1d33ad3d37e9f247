package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/uerr"
)

// System is what a server answers to IDENTIFY_SYSTEM.
type System struct {
	ID       uint64
	Timeline uint32
	Flushed  LSN  // end of the log that is safe on the server's disk
	Standby  bool // it replays log and writes none of its own
}

// IdentifySystem asks a server who it is, over the replication protocol. The role must have REPLICATION.
func IdentifySystem(ctx context.Context, connString string) (System, error) {
	conn, err := openReplication(ctx, connString)
	if err != nil {
		return System{}, err
	}
	s, err := identify(ctx, conn)
	return s, closeReplication(ctx, conn, err)
}

// TimelineHistory fetches the history file of a timeline: its name ("00000002.history") and its content. Timeline 1 has
// none: error kind NotFound.
func TimelineHistory(ctx context.Context, connString string, timeline uint32) (name string, content []byte, err error) {
	conn, err := openReplication(ctx, connString)
	if err != nil {
		return "", nil, err
	}
	rows, err := command(ctx, conn, fmt.Sprintf("TIMELINE_HISTORY %d", timeline))
	if err == nil && len(rows[0]) < 2 {
		err = errors.New("the answer has too few columns")
	}
	if err != nil {
		return "", nil, closeReplication(ctx, conn, replicationError("fetch the history of timeline "+strconv.FormatUint(uint64(timeline), 10), err))
	}
	return string(rows[0][0]), rows[0][1], closeReplication(ctx, conn, nil)
}

func openReplication(ctx context.Context, connString string) (*pgconn.PgConn, error) {
	const op = "open a replication connection"
	cfg, err := pgconn.ParseConfig(connString)
	if err != nil {
		return nil, uerr.New(uerr.Config, op, "", errors.New("the connection string is not valid"), "")
	}
	cfg.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, ConnectError(op+" as "+cfg.User, cfg.Host, err)
	}
	return conn, nil
}

// closeReplication ends the connection and keeps err when there is one: what was asked for is known by then.
func closeReplication(ctx context.Context, conn *pgconn.PgConn, err error) error {
	closeErr := conn.Close(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	return closeErr
}

// command runs a replication command that answers with at least one row.
func command(ctx context.Context, conn *pgconn.PgConn, sql string) ([][][]byte, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) == 0 {
		return nil, errors.New("the server gave no answer")
	}
	return results[0].Rows, results[0].Err
}

func identify(ctx context.Context, conn *pgconn.PgConn) (System, error) {
	const op = "identify the database server"
	rows, err := command(ctx, conn, "IDENTIFY_SYSTEM")
	if err != nil {
		return System{}, replicationError(op, err)
	}
	if len(rows[0]) < 3 {
		return System{}, uerr.New(uerr.Failed, op, "", errors.New("the answer has too few columns"), "")
	}
	id, errID := strconv.ParseUint(string(rows[0][0]), 10, 64)
	tli, errTLI := strconv.ParseUint(string(rows[0][1]), 10, 32)
	at, errAt := ParseLSN(string(rows[0][2]))
	if err := errors.Join(errID, errTLI, errAt); err != nil {
		return System{}, uerr.New(uerr.Failed, op, "", err, "")
	}
	rows, err = command(ctx, conn, "SHOW in_hot_standby")
	if err != nil {
		return System{}, replicationError(op, err)
	}
	return System{ID: id, Timeline: uint32(tli), Flushed: at, Standby: string(rows[0][0]) == "on"}, nil
}

// segmentSize asks for wal_segment_size, which comes as "16MB".
func segmentSize(ctx context.Context, conn *pgconn.PgConn) (uint32, error) {
	rows, err := command(ctx, conn, "SHOW wal_segment_size")
	if err != nil {
		return 0, replicationError("ask for the size of WAL segments", err)
	}
	text := string(rows[0][0])
	for unit, bytes := range map[string]uint64{"MB": mib, "GB": gib} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseUint(digits, 10, 16)
			if size := n * bytes; err == nil && size <= gib && powerOfTwo(uint32(size)) {
				return uint32(size), nil
			}
		}
	}
	return 0, uerr.New(uerr.Failed, "ask for the size of WAL segments", "", fmt.Errorf("%q makes no sense", text), "")
}

// replicationError gives a server's refusal its kind.
func replicationError(op string, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return uerr.New(uerr.Unreachable, op, "", err, "look: practicectl db status")
	}
	why := errors.New(pg.Message)
	switch {
	case pg.Code == "58P01" && strings.Contains(pg.Message, "history"):
		return uerr.New(uerr.NotFound, op, "", why, "")
	case pg.Code == "58P01", pg.Code == "55000" && strings.Contains(pg.Message, "slot"):
		return uerr.New(uerr.WALGap, op, "", why, "the log before this point is gone; a new snapshot begins a new chain: practicectl backup run")
	case strings.Contains(pg.Message, "is not in this server's history"), strings.Contains(pg.Message, "is ahead of the WAL flush position"):
		return uerr.New(uerr.Fenced, op, "", why, "this server is not the one, or an older state of the one, whose log came before; a new snapshot begins a new chain: practicectl backup run")
	case pg.Code == "55006", pg.Code == "42710":
		return uerr.New(uerr.Locked, op, "", why, "another run uses the slot; wait until it ends")
	case pg.Code == "42501", pg.Code == "28000":
		return uerr.New(uerr.Auth, op, "", why, "give the role its rights again: practicectl db init")
	case pg.Code == "53300", pg.Code == "53400":
		return uerr.New(uerr.Precond, op, "", why, "raise max_wal_senders or max_replication_slots in conf.d/50-local.conf")
	case pg.Code == "57P01", pg.Code == "57P03":
		return uerr.New(uerr.Unreachable, op, "", why, "look: practicectl db status")
	}
	return uerr.New(uerr.Failed, op, "", why, "")
}
