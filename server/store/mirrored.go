package store

import (
	"context"

	"practicectl/internal/uerr"
)

// LogState is how far the database's write-ahead log has come, and how much of it is safe elsewhere.
type LogState struct {
	Timeline string `json:"timeline"`              // eight hexadecimal digits
	Written  string `json:"written_up_to"`         // position of the end
	Mirrored string `json:"mirrored_up_to"`        // everything before it is in the store of the backups; empty: nothing streams
	Behind   int64  `json:"behind_bytes,omitzero"` // that are not
}

// LogState asks the database. What is mirrored is what the stream of the log lets the database forget.
func (s *Store) LogState(ctx context.Context) (l LogState, err error) {
	err = s.pool.QueryRow(ctx, `SELECT left(pg_walfile_name(at), 8), at::text, coalesce(slot::text, ''), coalesce(greatest(at - slot, 0), 0)::bigint
		FROM (SELECT pg_current_wal_flush_lsn() AS at, (SELECT max(restart_lsn) FROM pg_replication_slots WHERE slot_name LIKE 'practice\_stream\_%') AS slot) AS log`).
		Scan(&l.Timeline, &l.Written, &l.Mirrored, &l.Behind)
	if err != nil {
		return l, uerr.New(uerr.Unreachable, "ask how far the log is mirrored", "", err, "practicectl db status")
	}
	return l, nil
}
