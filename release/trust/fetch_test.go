package trust_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

// cut sends half of what is asked for and breaks the connection.
func (h *hostile) cut(w http.ResponseWriter, r *http.Request) {
	h.honest(&half{ResponseWriter: w, left: 20_000}, r)
	panic(http.ErrAbortHandler)
}

type half struct {
	http.ResponseWriter
	left int
}

func (w *half) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	if n == 0 {
		return 0, errors.New("cut")
	}
	return w.ResponseWriter.Write(p[:n])
}

func ready(t *testing.T) (*attacked, release.Target, string) {
	t.Helper()
	a := attack(t)
	cat, err := a.client.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tg, err := cat.Find(release.Server, "", "linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	return a, tg, filepath.Join(t.TempDir(), "server.tar.zst")
}

func TestBrokenDownloadGoesOnAfterARestart(t *testing.T) {
	a, tg, dst := ready(t)
	a.mirror.lie("*.tar.zst", a.mirror.cut)
	if err := a.client.Fetch(t.Context(), tg, dst, nil); uerr.KindOf(err) != uerr.Unreachable {
		t.Fatalf("got %v", err)
	}
	st, err := os.Stat(dst + trust.Unverified)
	if err != nil || st.Size() != 40_000 { // two tries of 20,000 bytes
		t.Fatalf("kept %v, %v", st, err)
	}
	a.mirror.lie("*.tar.zst", a.mirror.honest)
	a.client = a.open(t) // a new process
	before := len(a.mirror.requests())
	task := &counting{}
	if err := a.client.Fetch(t.Context(), tg, dst, task); err != nil {
		t.Fatal(err)
	}
	asked := a.mirror.requests()[before:]
	if len(asked) != 1 || asked[0].Header.Get("Range") != "bytes=40000-" {
		t.Errorf("asked for %v", asked)
	}
	if task.n != tg.Length || !trust.Holds(dst, tg) {
		t.Errorf("counted %d of %d bytes", task.n, tg.Length)
	}
	if err := a.client.Fetch(t.Context(), tg, dst, nil); err != nil || len(a.mirror.requests()) != before+1 {
		t.Errorf("a file that is right was fetched again: %v", err)
	}
}

func TestLeftOversOfAnotherFileDoNotStick(t *testing.T) {
	for name, left := range map[string]int{"shorter": 30_000, "longer than the target": 1_000_000, "just as long": -1} {
		t.Run(name, func(t *testing.T) {
			a, tg, dst := ready(t)
			if left < 0 {
				left = int(tg.Length)
			}
			if err := os.WriteFile(dst+trust.Unverified, make([]byte, left), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := a.client.Fetch(t.Context(), tg, dst, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSourceThatCannotResumeStartsAgain(t *testing.T) {
	a, tg, dst := ready(t)
	part := read(t, a.target("1.1.0"))[:30_000]
	if err := os.WriteFile(dst+trust.Unverified, part, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{http.StatusOK, http.StatusRequestedRangeNotSatisfiable} {
		a.mirror.lie("*.tar.zst", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" && code != http.StatusOK {
				w.WriteHeader(code)
				return
			}
			r.Header.Del("Range")
			a.mirror.honest(w, r)
		})
		task := &counting{}
		if err := a.client.Fetch(t.Context(), tg, dst+strconv.Itoa(code), task); err != nil || task.n != tg.Length {
			t.Fatalf("%d: %v, counted %d", code, err, task.n)
		}
	}
}

func TestFetchNamesAFolderInTheWay(t *testing.T) {
	a, tg, dst := ready(t)
	if err := os.Mkdir(dst+trust.Unverified, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := a.client.Fetch(t.Context(), tg, dst, nil); uerr.KindOf(err) != uerr.Precond {
		t.Fatalf("got %v", err)
	}
}

type counting struct{ n int64 }

func (c *counting) Add(n int64) { c.n += n }
func (c *counting) Grow(int64)  {}
func (c *counting) Done()       {}
