package trust_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
	"practicectl/release/trust"
)

const hour = time.Hour

// attacked is a clinic whose mirror has served 1.0.0 and now turns hostile while the vendor publishes 1.1.0.
type attacked struct {
	*testenv.Releases
	old    string // copy of the repository as it was at 1.0.0
	mirror *hostile
	client *trust.Client
	state  string
	stall  time.Duration
}

func attack(t *testing.T) *attacked {
	t.Helper()
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "old", 100_000))
	a := &attacked{Releases: r, old: filepath.Join(t.TempDir(), "old"), mirror: newHostile(t, r.Dir), state: filepath.Join(t.TempDir(), "trust"), stall: 20 * time.Second}
	a.client = a.open(t)
	if _, err := a.client.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(a.old, os.DirFS(r.Dir)); err != nil {
		t.Fatal(err)
	}
	r.Clock = r.Clock.Add(hour)
	r.Release(t, release.Stable, "1.1.0", big(release.Server, "new", 100_000))
	return a
}

func (a *attacked) open(t *testing.T) *trust.Client {
	return a.Client(t, a.mirror.URL, func(o *trust.Options) {
		o.Dir, o.Attempts, o.Stall = a.state, 2, a.stall
	})
}

// fetch refreshes and fetches the newest server, as an update does.
func (a *attacked) fetch(t *testing.T) error {
	cat, err := a.client.Refresh(t.Context())
	if err != nil {
		return err
	}
	tg, err := cat.Find(release.Server, "", "linux", "amd64")
	if err != nil {
		return err
	}
	dst := filepath.Join(a.state, "server")
	err = a.client.Fetch(t.Context(), tg, dst, nil)
	if _, there := os.Stat(dst); err != nil && !errors.Is(there, fs.ErrNotExist) {
		t.Errorf("%s exists although it was refused", dst)
	}
	return err
}

func (a *attacked) target(version string) string {
	m, _ := filepath.Glob(filepath.Join(a.Dir, "targets", "stable", "server", version, "any", "*"))
	return m[0]
}

func TestO9_HostileMirrorIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(t *testing.T, a *attacked)
		want uerr.Kind
	}{
		{"target tampered with", func(t *testing.T, a *attacked) {
			data := read(t, a.target("1.1.0"))
			data[len(data)/2] ^= 1
			a.mirror.lie("*.tar.zst", bytes(data))
		}, uerr.Integrity},
		{"target swapped for another genuine one", func(t *testing.T, a *attacked) {
			a.mirror.lie("*.tar.zst", bytes(read(t, a.target("1.0.0"))))
		}, uerr.Integrity},
		{"target truncated", func(t *testing.T, a *attacked) {
			a.mirror.lie("*.tar.zst", bytes(read(t, a.target("1.1.0"))[:5000]))
		}, uerr.Integrity},
		{"target cut off on the way", func(t *testing.T, a *attacked) {
			data := read(t, a.target("1.1.0"))
			a.mirror.lie("*.tar.zst", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(data)))
				_, _ = w.Write(data[:5000])
			})
		}, uerr.Unreachable},
		{"target with a byte too many", func(t *testing.T, a *attacked) {
			a.mirror.lie("*.tar.zst", bytes(append(read(t, a.target("1.1.0")), 0)))
		}, uerr.Integrity},
		{"endless target", func(_ *testing.T, a *attacked) { a.mirror.lie("*.tar.zst", endless) }, uerr.Integrity},
		{"target withheld", func(_ *testing.T, a *attacked) { a.mirror.lie("*.tar.zst", status(404)) }, uerr.Unreachable},
		{"target connection silent", func(_ *testing.T, a *attacked) { a.mirror.lie("*.tar.zst", silent) }, uerr.Unreachable},
		{"target dripping byte by byte", func(_ *testing.T, a *attacked) { a.mirror.lie("*.tar.zst", dripping) }, uerr.Unreachable},
		{"target behind a redirect", func(_ *testing.T, a *attacked) {
			a.mirror.lie("*.tar.zst", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/x", http.StatusFound)
			})
		}, uerr.Unreachable},
		{"lying about the range", func(_ *testing.T, a *attacked) {
			a.mirror.lie("*.tar.zst", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Range", "bytes 5-6/7")
				w.WriteHeader(206)
				_, _ = w.Write([]byte("ab"))
			})
		}, uerr.Unreachable},
		{"timestamp rolled back", func(t *testing.T, a *attacked) {
			if _, err := a.client.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.mirror.lie("metadata/timestamp.json", bytes(read(t, a.old, "metadata", "timestamp.json")))
		}, uerr.Integrity},
		{"snapshot rolled back", func(t *testing.T, a *attacked) {
			a.mirror.lie("metadata/2.snapshot.json", bytes(read(t, a.old, "metadata", "1.snapshot.json")))
		}, uerr.Integrity},
		{"mix and match: new snapshot, old channel", func(t *testing.T, a *attacked) {
			a.mirror.lie("metadata/2.stable.json", bytes(read(t, a.old, "metadata", "1.stable.json")))
		}, uerr.Integrity},
		{"channel metadata withheld", func(_ *testing.T, a *attacked) { a.mirror.lie("metadata/2.stable.json", status(404)) }, uerr.Unreachable},
		{"index withheld", func(_ *testing.T, a *attacked) { a.mirror.lie("*.index.json", status(404)) }, uerr.Unreachable},
		{"old index", func(t *testing.T, a *attacked) {
			m, _ := filepath.Glob(filepath.Join(a.old, "targets", "stable", "*.index.json"))
			a.mirror.lie("*.index.json", bytes(read(t, m[0])))
		}, uerr.Integrity},
		{"timestamp tampered with", func(t *testing.T, a *attacked) {
			data := read(t, a.Dir, "metadata", "timestamp.json")
			for i := range data {
				if string(data[max(0, i-10):i]) == `"version":` {
					data[i+1] = '9'
				}
			}
			a.mirror.lie("metadata/timestamp.json", bytes(data))
		}, uerr.Integrity},
		{"x-issued tampered with", func(t *testing.T, a *attacked) {
			data := read(t, a.Dir, "metadata", "timestamp.json")
			a.mirror.lie("metadata/timestamp.json", bytes([]byte(replace(t, string(data), `"x-issued": "2026-11-23T13`, `"x-issued": "2026-11-23T14`))))
		}, uerr.Integrity},
		{"endless timestamp", func(_ *testing.T, a *attacked) { a.mirror.lie("metadata/timestamp.json", endless) }, uerr.Integrity},
		{"log-in page instead of metadata", func(_ *testing.T, a *attacked) {
			a.mirror.lie("metadata/timestamp.json", bytes([]byte("<html>please log in</html>")))
		}, uerr.Integrity},
		{"empty timestamp", func(_ *testing.T, a *attacked) { a.mirror.lie("metadata/timestamp.json", bytes(nil)) }, uerr.Integrity},
		{"timestamp silent", func(_ *testing.T, a *attacked) { a.mirror.lie("metadata/timestamp.json", silent) }, uerr.Unreachable},
		{"timestamp dripping", func(_ *testing.T, a *attacked) { a.mirror.lie("metadata/timestamp.json", dripping) }, uerr.Unreachable},
		{"403 for the next root is not the end of the chain", func(_ *testing.T, a *attacked) { a.mirror.lie("metadata/2.root.json", status(403)) }, uerr.Unreachable},
		{"500 for the next root is not the end of the chain", func(_ *testing.T, a *attacked) { a.mirror.lie("metadata/2.root.json", status(500)) }, uerr.Unreachable},
		{"redirect for the next root is not the end of the chain", func(_ *testing.T, a *attacked) {
			a.mirror.lie("metadata/2.root.json", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/nowhere", http.StatusMovedPermanently)
			})
		}, uerr.Unreachable},
		{"self-made next root", func(t *testing.T, a *attacked) {
			other := testenv.NewReleases(t)
			a.mirror.lie("metadata/2.root.json", bytes([]byte(replace(t, string(other.Root), `"version": 1`, `"version": 2`))))
		}, uerr.Integrity},
		{"another vendor's whole repository", func(t *testing.T, a *attacked) {
			other := testenv.NewReleases(t)
			other.Release(t, release.Stable, "9.9.9", big(release.Server, "evil", 1000))
			a.mirror.dir = other.Dir
		}, uerr.Integrity},
		{"500 for everything", func(_ *testing.T, a *attacked) { a.mirror.lie("*", status(500)) }, uerr.Unreachable},
		{"404 for everything", func(_ *testing.T, a *attacked) { a.mirror.lie("*", status(404)) }, uerr.Unreachable},
		{"freeze: the old state for longer than its signatures live", func(_ *testing.T, a *attacked) {
			a.mirror.dir = a.old
			a.Clock = a.Clock.Add(15 * 24 * hour)
		}, uerr.Precond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := attack(t)
			c.lie(t, a)
			if strings.Contains(c.name, "silent") || strings.Contains(c.name, "dripping") {
				a.stall = 300 * time.Millisecond
				a.client = a.open(t)
			}
			err := a.fetch(t)
			if got := uerr.KindOf(err); err == nil || got != c.want {
				t.Fatalf("got %v (%v), want kind %v", err, got, c.want)
			}
			if c.name == "another vendor's whole repository" && !strings.Contains(err.Error(), "another vendor") {
				t.Errorf("not explained: %v", err)
			}
			if uerr.HintOf(err) == "" {
				t.Errorf("no hint: %v", err)
			}
			// The mirror repents: the client goes on from the state it kept.
			a.mirror.mu.Lock()
			clear(a.mirror.lies)
			a.mirror.dir = a.Dir
			a.mirror.mu.Unlock()
			if c.want == uerr.Precond {
				a.Publish(t)
			}
			a.stall = 20 * time.Second
			a.client = a.open(t)
			if err := a.fetch(t); err != nil {
				t.Errorf("after the attack: %v", err)
			}
		})
	}
}

// Trap 1: go-tuf starts from the built-in root at every run. A mirror that withholds the new root could then present
// metadata signed with the revoked key.
func TestRevokedKeyIsRefusedAlthoughTheNewRootIsWithheld(t *testing.T) {
	a := attack(t)
	stolen := a.Ring[publish.Timestamp][0]
	_, err := publish.Rotate(publish.Rotation{Stage: a.Stage, Repo: a.Dir, Now: a.Clock, Revoke: map[string][]string{publish.Timestamp: {stolen.ID}}})
	if err != nil {
		t.Fatal(err)
	}
	a.Sign(t, publish.Root)
	a.Ring[publish.Timestamp] = a.Ring[publish.Timestamp][1:]
	a.Clock = a.Clock.Add(hour)
	a.Publish(t)
	if err := a.fetch(t); err != nil { // the client has seen root 2
		t.Fatal(err)
	}
	// The thief signs the old state as if it were the newest, and the mirror hides root 2.
	a.mirror.dir = a.old
	a.Ring[publish.Timestamp] = []*publish.Key{stolen}
	thief := *a.Releases
	thief.Dir = a.old
	insider(t, &thief, func(_, _ *metadata.TargetsType, _ *metadata.TimestampType) {})
	insider(t, &thief, func(_, _ *metadata.TargetsType, _ *metadata.TimestampType) {})
	insider(t, &thief, func(_, _ *metadata.TargetsType, _ *metadata.TimestampType) {})
	a.client = a.open(t) // a new run
	if err := a.fetch(t); uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("a revoked key was believed: %v", err)
	}
	info, err := a.client.Root()
	if err != nil || info.Version != 2 {
		t.Fatalf("trusted root is %+v, %v", info, err)
	}
}

// A thief of the online keys sets versions and clock far forward; the vendor's next root makes clients start anew.
func TestFastForwardIsRecoveredByNewOnlineKeys(t *testing.T) {
	a := attack(t)
	insider(t, a.Releases, func(_, _ *metadata.TargetsType, ts *metadata.TimestampType) {
		ts.Version = 1_000_000
		ts.Expires = a.Clock.Add(320 * 24 * hour)
		ts.UnrecognizedFields["x-issued"] = a.Clock.Add(300 * 24 * hour).Format(time.RFC3339)
	})
	if _, err := a.client.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"timestamp.json"} { // the vendor restores its own state
		if err := os.WriteFile(filepath.Join(a.Dir, "metadata", f), read(t, a.old, "metadata", f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := publish.Rotate(publish.Rotation{Stage: a.Stage, Repo: a.Dir, Now: a.Clock, Revoke: map[string][]string{
		publish.Timestamp: {a.Ring[publish.Timestamp][0].ID}, publish.Snapshot: {a.Ring[publish.Snapshot][0].ID}}})
	if err != nil {
		t.Fatal(err)
	}
	a.Sign(t, publish.Root)
	a.Ring[publish.Timestamp], a.Ring[publish.Snapshot] = a.Ring[publish.Timestamp][1:], a.Ring[publish.Snapshot][1:]
	a.Build(t, release.Stable, "1.2.0", nil, big(release.Server, "newest", 1000))
	a.Sign(t, release.Stable)
	a.Publish(t)
	if err := a.fetch(t); err != nil {
		t.Fatalf("not recovered: %v", err)
	}
}

func replace(t *testing.T, s, old, new string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("%q not found", old)
	}
	return strings.Replace(s, old, new, 1)
}
