package proof

import (
	"context"
	"time"
)

// Database is one database of a copy.
type Database struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Tables int64  `json:"tables"` // of users
}

// Databases lists what there is, as a first query that needs the data.
func (i *Instance) Databases(ctx context.Context) ([]Database, error) {
	var out []Database
	err := i.eachDatabase(ctx, func(name string, s *session) error {
		conn, err := s.open(ctx)
		if err != nil {
			return err
		}
		d := Database{Name: name}
		err = conn.QueryRow(ctx, `SELECT pg_database_size(current_database()), count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')`).Scan(&d.Bytes, &d.Tables)
		out = append(out, d)
		return err
	})
	return out, err
}

// Reached tells where the recovery ended: the time of the last transaction that it replayed (zero: it replayed none) and the
// position in the log.
func (i *Instance) Reached(ctx context.Context) (at time.Time, lsn string, err error) {
	s := &session{i: i, database: "postgres"}
	conn, err := s.open(ctx)
	if err != nil {
		return at, lsn, err
	}
	var when *time.Time
	var position *string
	err = conn.QueryRow(ctx, "SELECT pg_last_xact_replay_timestamp(), pg_last_wal_replay_lsn()::text").Scan(&when, &position)
	if when != nil {
		at = when.UTC()
	}
	if position != nil {
		lsn = *position
	}
	if closed := s.close(ctx); err == nil {
		err = closed
	}
	return at, lsn, err
}

// Alone checks that the instance keeps to itself.
func (i *Instance) Alone(ctx context.Context) (Result, error) {
	return measure("alone", "the copy archives nothing, follows nobody and cannot be reached from the network", "settings", func(r *Result) error {
		s := &session{i: i, database: "postgres"}
		found, err := column[string](ctx, s, `
			SELECT name || ' is set' FROM pg_settings WHERE name IN ('listen_addresses', 'archive_command', 'archive_library', 'primary_conninfo', 'recovery_end_command',
			  'archive_cleanup_command', 'shared_preload_libraries', 'session_preload_libraries', 'local_preload_libraries') AND setting NOT IN ('', '(disabled)')
			UNION ALL SELECT name || ' is on' FROM pg_settings WHERE name IN ('archive_mode', 'ssl') AND setting <> 'off'
			UNION ALL SELECT 'there is a replication slot' FROM pg_replication_slots
			UNION ALL SELECT 'somebody follows it' FROM pg_stat_replication
			UNION ALL SELECT 'it follows somebody' FROM pg_stat_wal_receiver`)
		for _, text := range found {
			r.find("%s", text)
		}
		r.Looked = 14
		if closed := s.close(ctx); err == nil {
			err = closed
		}
		return err
	})
}
