package pgcluster

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/uerr"
)

// ConnString returns the connection string of a role over the unix socket. It holds no secret.
func (c *Cluster) ConnString(role, db string) string {
	return "host=" + quoteDSN(c.SocketDir) + " port=" + strconv.Itoa(c.Port) + " user=" + quoteDSN(role) +
		" dbname=" + quoteDSN(db) + " sslmode=disable application_name=practicectl connect_timeout=10"
}

func quoteDSN(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// Connect opens a connection as a role. Error kinds: Unreachable (not running), Auth (the account may not be that
// role), NotFound (no such database or role).
func (c *Cluster) Connect(ctx context.Context, role, db string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, c.ConnString(role, db))
	if err != nil {
		return nil, ConnectError("connect to the database as "+role, c.Socket(), err)
	}
	return conn, nil
}

// ConnectError gives an error of pgx while connecting its kind and hint.
func ConnectError(op, subject string, err error) error {
	var pg *pgconn.PgError
	var ne net.Error
	switch {
	case errors.As(err, &pg):
		why := errors.New(pg.Message) // without the detail, which may quote values
		switch {
		case pg.Code == "28000" || pg.Code == "28P01":
			return uerr.New(uerr.Auth, op, subject, why, "run the command as the account that owns the cluster")
		case pg.Code == "3D000":
			return uerr.New(uerr.NotFound, op, subject, why, "make it: practicectl db init")
		case strings.HasPrefix(pg.Code, "57P03"), pg.Code == "53300":
			return uerr.New(uerr.Unreachable, op, subject, why, "try again in a moment")
		}
		return uerr.New(uerr.Failed, op, subject, why, "")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return uerr.New(uerr.Unreachable, op, subject, errors.New("the database is not running"), "start it: practicectl db start")
	case errors.Is(err, os.ErrPermission):
		return uerr.New(uerr.Auth, op, subject, errors.New("the socket is not accessible"), "run the command as the account that owns the cluster")
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &ne), errors.Is(err, context.DeadlineExceeded):
		return uerr.New(uerr.Unreachable, op, subject, err, "look: practicectl db status")
	}
	return uerr.New(uerr.Failed, op, subject, err, "")
}
