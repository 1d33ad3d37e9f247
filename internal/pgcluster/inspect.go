package pgcluster

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// Inspection is what an administrator wants to know of a cluster. What only a running server can tell is zero while it
// is stopped.
type Inspection struct {
	State            State     `json:"state"`
	Version          string    `json:"version"` // of the server that runs, else of the binaries
	PID              int       `json:"pid,omitempty"`
	Started          time.Time `json:"started,omitzero"`
	Data             string    `json:"data"`
	Socket           string    `json:"socket"`
	Port             int       `json:"port"`
	SystemID         uint64    `json:"system_id,string"`
	Timeline         uint32    `json:"timeline"`
	Checkpoint       time.Time `json:"checkpoint"`
	Checksums        bool      `json:"checksums"`
	ChecksumFailures int64     `json:"checksum_failures"`
	DatabaseBytes    int64     `json:"database_bytes"` // of the practice's database
	Connections      int       `json:"connections"`
	Term             int64     `json:"term"`
	Warnings         []string  `json:"warnings"`
}

// Inspect looks at a cluster and its practice database. Error kinds: NotFound (no cluster), Integrity (control data).
func Inspect(ctx context.Context, c *Cluster, provider, database string) (Inspection, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return Inspection{}, err
	}
	control, err := ReadControl(c.Data)
	if err != nil {
		return Inspection{}, err
	}
	in := Inspection{State: st.State, Version: c.Bin.Version, PID: st.PID, Started: st.Since, Data: c.Data, Socket: c.Socket(), Port: c.Port,
		SystemID: control.SystemID, Timeline: control.Timeline, Checkpoint: control.CheckpointTime, Checksums: control.DataChecksums != 0,
		Warnings: []string{}}
	if st.State == Running {
		if err := in.ask(ctx, c, database); err != nil {
			return Inspection{}, err
		}
	}
	in.warn(provider, control)
	return in, nil
}

func (in *Inspection) ask(ctx context.Context, c *Cluster, database string) error {
	return c.asSuperuser(ctx, "postgres", func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, `SELECT split_part(current_setting('server_version'), ' ', 1), current_setting('data_checksums') = 'on',
			(SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database),
			(SELECT coalesce(max(pg_database_size(oid)), 0)::bigint FROM pg_database WHERE datname = $1),
			(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
			(SELECT timeline_id FROM pg_control_checkpoint())`, database).
			Scan(&in.Version, &in.Checksums, &in.ChecksumFailures, &in.DatabaseBytes, &in.Connections, &in.Timeline)
		if err != nil || in.DatabaseBytes == 0 {
			return err
		}
		return c.asSuperuser(ctx, database, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT coalesce(max(term), 0) FROM practice_ops.cluster_term").Scan(&in.Term)
		})
	})
}

func (in *Inspection) warn(provider string, control Control) {
	add := func(bad bool, text string) {
		if bad {
			in.Warnings = append(in.Warnings, text)
		}
	}
	add(provider == ProviderBundled, "the bundled PostgreSQL is for demo, tests and drills, not for patient data: it misses security updates; use --provider system")
	add(!in.Checksums, "data checksums are off: a failing disk stays unnoticed")
	add(in.ChecksumFailures > 0, "pages with wrong checksums were read: the disk may be failing; take a snapshot and check the disk")
	add(in.State == Running && in.DatabaseBytes == 0, "the practice's database is missing: practicectl db init")
	add(in.State == Stopped && control.State != ControlShutDown && control.State != ControlShutDownInRecovery,
		"the server did not stop in good order; the next start recovers by itself")
	add(in.State == Stopped, "the database is stopped: practicectl db start")
}

// ListenAddresses is what the running cluster listens on besides its socket; empty is nothing. Error kind: Unreachable.
func ListenAddresses(ctx context.Context, c *Cluster) (string, error) {
	conn, err := c.Connect(ctx, Superuser, "postgres")
	if err != nil {
		return "", err
	}
	var listen string
	err = conn.QueryRow(ctx, "SHOW listen_addresses").Scan(&listen)
	return listen, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}
