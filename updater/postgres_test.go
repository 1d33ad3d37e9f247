package updater

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// pgHandle names a real cluster so that another process finds it.
type pgHandle struct{ C pgcluster.Cluster }

func (h *pgHandle) open() database { return pgDB{&h.C} }

// pgDB is a real PostgreSQL with one table of notes.
type pgDB struct{ c *pgcluster.Cluster }

func (d pgDB) data() string                    { return d.c.Data }
func (d pgDB) start(ctx context.Context) error { return d.c.Start(ctx) }
func (d pgDB) stop(ctx context.Context) error  { return d.c.Stop(ctx) }
func (d pgDB) running() bool {
	st, err := d.c.Status(context.Background())
	return err == nil && st.State == pgcluster.Running
}

func (d pgDB) sql(ctx context.Context, script string) error {
	conn, err := d.c.Connect(ctx, pgcluster.Superuser, "postgres")
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, script)
	return errors.Join(err, conn.Close(ctx))
}

func (d pgDB) schema(ctx context.Context) (version int, err error) {
	conn, err := d.c.Connect(ctx, pgcluster.Superuser, "postgres")
	if err != nil {
		return 0, err
	}
	err = conn.QueryRow(ctx, "SELECT max(version) FROM schema_version").Scan(&version)
	return version, errors.Join(err, conn.Close(ctx))
}

// migrate destroys in several transactions: text is rewritten, a column dropped, rows deleted.
func (d pgDB) migrate(ctx context.Context, to int) error {
	if at, err := d.schema(ctx); err != nil || at == to {
		return err
	}
	for _, s := range []string{
		"UPDATE note SET body = replace(body, 'alte', 'neue')",
		"DELETE FROM note WHERE id > 1",
		"ALTER TABLE note DROP COLUMN author",
		fmt.Sprintf("INSERT INTO schema_version VALUES (%d)", to),
	} {
		if err := d.sql(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (d pgDB) write(row string) error {
	return d.sql(context.Background(), "INSERT INTO note (id, body) VALUES (100000, '"+row+"')")
}

// rows returns every row of every column, in the order of their ids.
func (d pgDB) rows() (string, error) {
	ctx := context.Background()
	conn, err := d.c.Connect(ctx, pgcluster.Superuser, "postgres")
	if err != nil {
		return "", err
	}
	rows, err := conn.Query(ctx, "SELECT n::text FROM note n ORDER BY id")
	if err != nil {
		return "", err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(all, "\n"), errors.Join(err, conn.Close(ctx))
}

// newPGRig makes an installation whose database is a real PostgreSQL of a major version, with some thousand rows.
func newPGRig(t *testing.T, major int) (rig, pgDB) {
	t.Helper()
	db := pgDB{testenv.PG(t, major)}
	err := db.sql(t.Context(), `CREATE TABLE schema_version (version int); INSERT INTO schema_version VALUES (1);
CREATE TABLE note (id int PRIMARY KEY, author text, body text);
INSERT INTO note SELECT i, 'author ' || i, 'alte Notiz Nr. ' || i || repeat(' Ünicode', 20) FROM generate_series(1, 5000) i`)
	if err != nil {
		t.Fatal(err)
	}
	r := rig{Dir: memory(t), db: db}
	r.install(t, "1.0.0", 1, false)
	r.live(t, "1.0.0")
	return r, db
}

// TestO12_RealDatabaseIsAsBeforeRowByRow goes through a destructive migration whose version then fails its probe, and
// through kills at the points where the data change hands.
func TestO12_RealDatabaseIsAsBeforeRowByRow(t *testing.T) {
	// The whole choice on the newest version, the worst point on the others.
	killAt := [][]string{{stepWayBack + "/doing", stepMigrate + "/doing", stepMigrate + "/applied"}, {stepMigrate + "/applied"}}
	for i, major := range testenv.PGMajors {
		t.Run(fmt.Sprint("PostgreSQL ", major), func(t *testing.T) {
			r, db := newPGRig(t, major)
			before, err := db.rows()
			if err != nil || len(before) < 100_000 {
				t.Fatalf("%d bytes of rows, %v", len(before), err)
			}
			same := func(when string) {
				t.Helper()
				r.settled(t, "1.0.0")
				if after, err := db.rows(); after != before || err != nil {
					t.Fatalf("%s: rows differ (%d and %d bytes): %v", when, len(after), len(before), err)
				}
				if err := ownedLike(db.c.Data); err != nil {
					t.Fatalf("%s: %v", when, err)
				}
			}
			r.install(t, "1.1.0", 2, true)
			rep, err := r.updater(nil).apply(t.Context(), Report{}, r.transition("1.0.0", "1.1.0"))
			if uerr.KindOf(err) != uerr.Failed || rep.Version != "1.0.0" {
				t.Fatalf("%+v, %v", rep, err)
			}
			same("after the failed probe")
			r.install(t, "1.1.0", 2, false)
			for _, point := range killAt[min(i, 1)] {
				victim{Dir: r.Dir, Point: point, Do: "update", T: r.transition("1.0.0", "1.1.0"), PG: &pgHandle{*db.c}}.kill(t)
				if _, err := r.updater(nil).Recover(t.Context()); err != nil {
					t.Fatalf("%s: %v", point, err)
				}
				same("killed at " + point)
			}
			if _, err := r.updater(nil).apply(t.Context(), Report{}, r.transition("1.0.0", "1.1.0")); err != nil {
				t.Fatal(err)
			}
			r.settled(t, "1.1.0")
			if after, err := db.rows(); !strings.Contains(after, "neue Notiz Nr. 1") || strings.Contains(after, "Nr. 2") || err != nil {
				t.Errorf("the migration is not there: %v", err)
			}
		})
	}
}

// ownedLike checks that every file of the cluster has the owner of the folder.
func ownedLike(data string) error {
	var owners []string
	err := filepath.WalkDir(data, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil // a running cluster
		}
		if who := ownerOf(info); !slices.Contains(owners, who) {
			owners = append(owners, who)
		}
		return err
	})
	if len(owners) > 1 {
		err = errors.Join(err, fmt.Errorf("owners %v", owners))
	}
	return err
}
