package backup_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"filippo.io/age"

	"practicectl/backup"
	"practicectl/backup/custody"
	"practicectl/backup/repo"
	"practicectl/backup/stream"
	"practicectl/backup/wal"
	"practicectl/internal/objstore"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
)

// opensAll fails when the identity does not open every object of the repository.
func (g *rig) opensAll(id age.Identity) {
	g.t.Helper()
	r, err := backup.Open(g.t.Context(), g.store, backup.Keys{Identities: []age.Identity{id}})
	if err != nil {
		g.t.Fatal(err)
	}
	if rep, err := custody.Check(g.t.Context(), r, custody.CheckOptions{All: true, Pick: func(int) int { return 0 }}, progress.None); err != nil {
		g.t.Errorf("%+v: %v", rep, err)
	}
}

// ends waits for a stream that ends by itself.
func (s *streaming) ends() error {
	s.t.Helper()
	s.ended = true
	return <-s.done
}

// TestT27_O4_ARotationEndsTheStream: what is written after a rotation is sealed to nobody of before. The stream ends without storing it,
// and one that knows the new keys goes on where it was.
func TestT27_O4_ARotationEndsTheStream(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.run(source(c))
	dir := t.TempDir()
	s := g.stream(c, dir)
	burst(t, conn, 3)
	s.reaches(flushed(t, conn))
	fresh := newKeys(t, 2)
	if _, err := g.rotate(t.Context(), st, g.recipients, fresh, g.identities...); err != nil {
		t.Fatal(err)
	}
	burst(t, conn, 3)
	if err := s.ends(); !errors.Is(err, repo.ErrNewSettings) {
		t.Fatalf("the stream ended with %v", err)
	}
	if got := s.state(); got.Problem == "" {
		t.Error("the state does not say why")
	}
	g.opensAll(fresh[0].id)
	g.recipients = recipientsOf(fresh)
	s = g.stream(c, dir)
	s.reaches(flushed(t, conn))
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	g.opensAll(fresh[1].id)
}

// rotateBefore rotates before the first log object of a whole unit is stored.
type rotateBefore struct {
	objstore.Store
	once   sync.Once
	rotate func()
	key    string // of that object
}

func (r *rotateBefore) Put(ctx context.Context, key string, body io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	if stretch, _, ok := wal.ParseKey(key); ok && stretch.End-stretch.Start == wal.Unit {
		r.once.Do(func() {
			r.key = key
			r.rotate()
		})
	}
	return r.Store.Put(ctx, key, body, size, o)
}

// TestT27_O4_ARotationDuringACompactionKeepsThePieces: the rotation handed the pieces of a unit on. What is stored in one piece for the
// recipients of before goes, and the pieces stay.
func TestT27_O4_ARotationDuringACompactionKeepsThePieces(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped)
	conn := connect(t, c)
	st, _ := dirStore(t)
	line := &rotateBefore{Store: st}
	g := newRig(t, line)
	g.run(source(c))
	fresh := newKeys(t, 2)
	line.rotate = func() {
		if _, err := g.rotate(context.Background(), st, g.recipients, fresh, g.identities...); err != nil {
			t.Error(err)
		}
	}
	s := g.stream(c, t.TempDir())
	s.until("begin", func(st stream.State) bool { return st.Stored > 0 })
	burst(t, conn, 20) // more than a unit, in pieces
	if err := s.ends(); !errors.Is(err, repo.ErrNewSettings) {
		t.Fatalf("the stream ended with %v", err)
	}
	if line.key == "" {
		t.Fatal("nothing was stored in one piece")
	}
	if _, err := st.Stat(t.Context(), line.key); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("%s is there: %v", line.key, err)
	}
	g.opensAll(fresh[0].id)
}
