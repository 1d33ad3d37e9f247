package pgcluster

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"practicectl/internal/uerr"
)

// Slot is a physical replication slot as the server knows it.
type Slot struct {
	Made bool // it was not there before
	Held LSN  // the server keeps the log from here on; 0: the slot is lost and holds nothing any more
}

// EnsureSlot makes a physical slot that holds the log from now on, unless it is there already. Error kinds: Precond (no slot is
// free, or it is not a physical one), Auth, Unreachable.
func EnsureSlot(ctx context.Context, connString, slot string) (Slot, error) {
	if err := checkSlot(slot); err != nil {
		return Slot{}, err
	}
	conn, err := openReplication(ctx, connString)
	if err != nil {
		return Slot{}, err
	}
	s, err := ensureSlot(ctx, conn, slot, false)
	return s, closeReplication(ctx, conn, err)
}

func ensureSlot(ctx context.Context, conn *pgconn.PgConn, slot string, temporary bool) (Slot, error) {
	if !temporary { // a permanent slot stays between runs
		if s, err := readSlot(ctx, conn, slot); err != nil || s != nil {
			return *cmp.Or(s, &Slot{}), err
		}
	}
	kind := "PHYSICAL RESERVE_WAL"
	if temporary {
		kind = "TEMPORARY " + kind
	}
	if _, err := conn.Exec(ctx, "CREATE_REPLICATION_SLOT "+slot+" "+kind).ReadAll(); err != nil {
		return Slot{}, replicationError("make the replication slot "+slot, err)
	}
	s, err := readSlot(ctx, conn, slot)
	if err == nil && s == nil {
		err = uerr.New(uerr.Failed, "make the replication slot "+slot, "", errors.New("it is gone again"), "")
	}
	if err != nil {
		return Slot{}, err
	}
	s.Made = true
	return *s, nil
}

// readSlot returns nil when there is no such slot.
func readSlot(ctx context.Context, conn *pgconn.PgConn, slot string) (*Slot, error) {
	op := "look at the replication slot " + slot
	rows, err := command(ctx, conn, "READ_REPLICATION_SLOT "+slot)
	switch {
	case err != nil:
		return nil, replicationError(op, err)
	case len(rows[0]) < 2 || rows[0][0] == nil:
		return nil, nil
	case len(rows[0][1]) == 0:
		return &Slot{}, nil
	}
	s := &Slot{}
	s.Held, err = ParseLSN(string(rows[0][1]))
	return s, err
}

// DropSlot removes a replication slot; a slot that is not there is fine.
func DropSlot(ctx context.Context, connString, slot string) error {
	if err := checkSlot(slot); err != nil {
		return err
	}
	conn, err := openReplication(ctx, connString)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "DROP_REPLICATION_SLOT "+slot).ReadAll()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42704" {
		err = nil
	}
	if err != nil {
		err = replicationError("drop the replication slot "+slot, err)
	}
	return closeReplication(ctx, conn, err)
}

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

func checkSlot(slot string) error {
	if slotName.MatchString(slot) {
		return nil
	}
	return uerr.New(uerr.Config, "use the replication slot", strconv.Quote(slot), errors.New("want lower-case letters, digits and underscores"), "")
}
