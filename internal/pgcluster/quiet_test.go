package pgcluster_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// line stands between a receiver and the server's socket; once it is cut, nothing arrives any more and nobody is told.
type line struct {
	dir string
	cut atomic.Bool
}

func newLine(t *testing.T, c *pgcluster.Cluster) *line {
	t.Helper()
	l := &line{dir: t.TempDir()}
	listener, err := net.Listen("unix", filepath.Join(l.dir, filepath.Base(c.Socket())))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); _ = listener.Close(); wg.Wait() })
	carry := func(to, from net.Conn) {
		defer to.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if l.cut.Load() {
				<-stop // swallowed
				return
			}
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			down, err := listener.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("unix", c.Socket())
			if err != nil {
				_ = down.Close()
				return
			}
			wg.Go(func() { carry(up, down) })
			wg.Go(func() { carry(down, up) })
			wg.Go(func() { <-stop; _ = up.Close(); _ = down.Close() })
		}
	})
	return l
}

// TestT27_AnIdleDatabaseIsNotADeadStream: nothing to send is no reason to give up, no answer is.
func TestT27_AnIdleDatabaseIsNotADeadStream(t *testing.T) {
	c := testenv.PG(t, 18, testenv.Bootstrapped, testenv.Param("wal_sender_timeout", "0"))
	l := newLine(t, c)
	dsn := strings.Replace(c.ConnString(pgcluster.RoleBackup, "practice"), "host='"+c.SocketDir+"'", "host='"+l.dir+"'", 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var heard atomic.Int64
	done := make(chan error, 1)
	const quiet = 2 * time.Second
	go func() {
		done <- pgcluster.ReceiveWAL(ctx, dsn, pgcluster.ReceiveOptions{Quiet: quiet, Heard: func(pgcluster.LSN) { heard.Add(1) }},
			func(context.Context, pgcluster.WALPiece) error { return nil })
	}()
	// The server has nothing to say by itself: what is heard again and again are answers.
	for n := heard.Load(); heard.Load() < n+4; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("gave up on an idle database: %v", err)
		default:
		}
	}
	l.cut.Store(true)
	if err := <-done; uerr.KindOf(err) != uerr.Unreachable || !strings.Contains(err.Error(), "said nothing") {
		t.Errorf("a dead stream ended with %v", err)
	}
}
