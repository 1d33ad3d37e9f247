// Package servertest gives tests a practice of their own on a real PostgreSQL: migrated, with people signed in. Only
// tests import it.
package servertest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"practicectl/internal/api"
	"practicectl/internal/pgcluster"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/server"
	"practicectl/server/authn"
	"practicectl/server/authz"
	"practicectl/server/store"
)

// Database is the name of the practice's database in a test cluster.
const Database = pgcluster.DefaultDatabase

// Practice is a server's inside.
type Practice struct {
	*server.Services
	Cluster *pgcluster.Cluster
	upkeep  *pgxpool.Pool // as pm_migrate, which row security does not bind
	raw     *pgxpool.Pool // as pm_server, past the store
	clock   atomic.Int64  // offset of the server's clock, ns
	people  atomic.Int64
}

// Start makes a migrated practice on PostgreSQL major.
func Start(t testing.TB, major int) *Practice {
	t.Helper()
	p := &Practice{Cluster: testenv.PG(t, major, testenv.Bootstrapped)}
	if _, err := store.Migrate(t.Context(), p.DSN(pgcluster.RoleMigrate), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Options{ConnString: p.DSN(pgcluster.RoleServer)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	p.Services = server.New(st, p.Now)
	p.upkeep, p.raw = p.pool(t, pgcluster.RoleMigrate), p.pool(t, pgcluster.RoleServer)
	return p
}

func (p *Practice) pool(t testing.TB, role string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), p.DSN(role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// DSN is the address of the practice's database for a role.
func (p *Practice) DSN(role string) string { return p.Cluster.ConnString(role, Database) }

// Now is the server's clock.
func (p *Practice) Now() time.Time { return time.Now().Add(time.Duration(p.clock.Load())) }

// Advance moves the server's clock; the database's stays.
func (p *Practice) Advance(d time.Duration) { p.clock.Add(int64(d)) }

// Connect opens a connection as a role, closed with the test.
func (p *Practice) Connect(t testing.TB, role string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), p.DSN(role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	return c
}

// Exec runs a statement as pm_migrate, which row security does not bind.
func (p *Practice) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := p.upkeep.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Count runs a query for one number as pm_migrate.
func (p *Practice) Count(t testing.TB, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := p.upkeep.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// Person adds an active account with a role, signed in without the cost of a password.
func (p *Practice) Person(t testing.TB, role string) *authz.Caller {
	t.Helper()
	b := &pgx.Batch{}
	who := p.QueuePerson(t, b, role)
	if err := p.upkeep.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
	return p.Enter(t, who.Token)
}

// QueuePerson puts a new person into a batch for pm_migrate and returns their id and token; their rights come with
// [Practice.Enter].
func (p *Practice) QueuePerson(t testing.TB, b *pgx.Batch, role string) *authz.Caller {
	t.Helper()
	id, n := store.NewID(), p.people.Add(1)
	token := make([]byte, 32)
	if _, err := rand.Read(token); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(token)
	b.Queue(`SELECT sec.make_account($1, $2, $3, '', '', $4, NULL)`, id, fmt.Sprintf("%s%d", role, n), fmt.Sprintf("Person %d", n), role)
	b.Queue(`UPDATE sec.account SET state = 'active' WHERE id = $1`, id)
	b.Queue(`INSERT INTO sec.session (token_hash, account_id, idle_limit, absolute_expiry) VALUES ($1, $2, '30 minutes', now() + interval '12 hours')`, hash[:], id)
	return &authz.Caller{Session: store.Session{Token: secret.New(hex.EncodeToString(token))}, Account: authz.Account{ID: id}}
}

// Enter returns the caller behind a token, with the rights of this moment.
func (p *Practice) Enter(t testing.TB, token secret.Text) *authz.Caller {
	t.Helper()
	who, err := p.Authn.Enter(t.Context(), token, true, authn.Where{IP: "127.0.0.1", Device: "test", Request: store.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// Patient adds a patient owned by who.
func (p *Practice) Patient(t testing.TB, who *authz.Caller, family, given string) api.Patient {
	t.Helper()
	v, err := p.Records.Create(t.Context(), who, api.Patient{FamilyName: family, GivenName: given, BirthDate: "1980-12-24"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Session adds a session of a patient, owned by who.
func (p *Practice) Session(t testing.TB, who *authz.Caller, patient api.Patient) api.Session {
	t.Helper()
	v, err := p.Charting.Create(t.Context(), who, api.Session{PatientID: patient.ID, HeldAt: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), DurationMin: 50, Kind: "Einzel", PriceMinor: 11000})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Note writes the first version of a session's note.
func (p *Practice) Note(t testing.TB, who *authz.Caller, s api.Session, body string) api.Note {
	t.Helper()
	n, err := p.Charting.SaveNote(t.Context(), who, s.ID, api.NoteSave{Op: store.NewID(), Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// SQL runs statements as the server's role in a transaction of who (nil: nobody), as injected SQL would, and rolls back
// unless keep. It returns fn's error.
func (p *Practice) SQL(t testing.TB, who *authz.Caller, keep bool, fn func(tx pgx.Tx) error) error {
	t.Helper()
	tx, err := p.raw.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	token := ""
	if who != nil {
		token = who.Token.Reveal()
	}
	if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE pm_app`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT set_config('pm.token', $1, true)`, token); err != nil {
		t.Fatal(err)
	}
	if err := fn(tx); err != nil {
		return err
	}
	if keep {
		return tx.Commit(t.Context())
	}
	return nil
}
