// Package storetest is the behaviour that every object store must show, as tests, and a store that fails on demand.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"practicectl/internal/objstore"
)

// Run runs the suite. open returns the same empty store area for one subtest; it is called once a subtest. Locks are
// tested where Probe finds them, and must be refused where not.
func Run(t *testing.T, open func(t *testing.T) objstore.Store) {
	for _, c := range []struct {
		name string
		fn   func(*testing.T, context.Context, objstore.Store)
	}{
		{"PutGetStat", testPutGetStat},
		{"Ranges", testRanges},
		{"NotFound", testNotFound},
		{"IfAbsent", testIfAbsent},
		{"IfAbsentRace", testIfAbsentRace},
		{"IfMatch", testIfMatch},
		{"Overwrite", testOverwrite},
		{"WrongSize", testWrongSize},
		{"ReaderKinds", testReaderKinds},
		{"List", testList},
		{"ListStopsAndCancels", testListStops},
		{"Delete", testDelete},
		{"Keys", testKeys},
		{"Cancelled", testCancelled},
		{"Versions", testVersions},
		{"Retention", testRetention},
		{"Parallel", testParallel},
		{"ProbeLeavesNothing", testProbe},
		{"ReaderAt", testReaderAt},
		{"Limit", testLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c.fn(t, ctx, open(t))
		})
	}
}

func put(t *testing.T, ctx context.Context, st objstore.Store, key, text string, o objstore.PutOptions) objstore.Info {
	t.Helper()
	info, err := st.Put(ctx, key, strings.NewReader(text), int64(len(text)), o)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return info
}

func get(t *testing.T, ctx context.Context, st objstore.Store, key string, off, n int64) string {
	t.Helper()
	r, err := st.Get(ctx, key, off, n)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	return string(data)
}

func keys(t *testing.T, ctx context.Context, st objstore.Store, prefix string) []string {
	t.Helper()
	var out []string
	for info, err := range st.List(ctx, prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		out = append(out, info.Key)
	}
	return out
}

func want(t *testing.T, what string, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Errorf("%s: got %v, want %v", what, err, wanted)
	}
}

func testPutGetStat(t *testing.T, ctx context.Context, st objstore.Store) {
	for name, text := range map[string]string{"empty": "", "one": "x", "deep/er/and-deeper/file_1.json": "{}", "large": strings.Repeat("0123456789abcdef", 300_000)} {
		before := time.Now().Add(-time.Minute)
		info := put(t, ctx, st, name, text, objstore.PutOptions{})
		if got := get(t, ctx, st, name, 0, -1); got != text {
			t.Errorf("%s: %d bytes came back of %d", name, len(got), len(text))
		}
		got, err := st.Stat(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if got.Key != name || got.Size != int64(len(text)) || got.ETag == "" || got.ETag != info.ETag || got.Version != info.Version || info.Size != got.Size || info.Key != name {
			t.Errorf("%s: put %+v, stat %+v", name, info, got)
		}
		if got.Modified.Before(before) || !got.RetainUntil.IsZero() || got.Deleted {
			t.Errorf("%s: stat %+v", name, got)
		}
	}
	if st.String() == "" {
		t.Error("the store has no name")
	}
}

func testRanges(t *testing.T, ctx context.Context, st objstore.Store) {
	const text = "0123456789"
	put(t, ctx, st, "r", text, objstore.PutOptions{})
	put(t, ctx, st, "empty", "", objstore.PutOptions{})
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, -1, text}, {0, 10, text}, {0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {5, -1, "56789"}, {5, 100, "56789"}, {0, 0, ""}, {4, 0, ""}, {10, -1, ""}, {10, 5, ""}, {99, 1, ""}} {
		if got := get(t, ctx, st, "r", c.off, c.n); got != c.want {
			t.Errorf("range %d+%d: %q, want %q", c.off, c.n, got, c.want)
		}
	}
	if got := get(t, ctx, st, "empty", 0, -1); got != "" {
		t.Errorf("empty: %q", got)
	}
	if got := get(t, ctx, st, "empty", 0, 5); got != "" {
		t.Errorf("empty: %q", got)
	}
	if _, err := st.Get(ctx, "r", -1, 5); err == nil {
		t.Error("a negative offset was taken")
	}
}

func testNotFound(t *testing.T, ctx context.Context, st objstore.Store) {
	put(t, ctx, st, "a/b", "x", objstore.PutOptions{})
	for _, key := range []string{"missing", "a", "a/b/c", "a/missing"} {
		_, err := st.Stat(ctx, key)
		want(t, "stat "+key, err, objstore.ErrNotFound)
		for _, n := range []int64{-1, 0, 5} {
			r, err := st.Get(ctx, key, 0, n)
			want(t, fmt.Sprintf("get %s %d", key, n), err, objstore.ErrNotFound)
			if err == nil {
				_ = r.Close()
			}
		}
	}
	for _, key := range []string{"missing", "a/missing"} {
		if err := st.Delete(ctx, key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	for info, err := range st.Versions(ctx, "never-was") {
		t.Errorf("a missing key has versions: %+v %v", info, err)
	}
	// A key that is a folder of another is not portable: refused or stored, but never damaging the other.
	_, err := st.Put(ctx, "a/b/c", strings.NewReader("y"), 1, objstore.PutOptions{})
	if errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("put below an object: %v", err)
	}
	if got := get(t, ctx, st, "a/b", 0, -1); got != "x" {
		t.Errorf("the object above is %q", got)
	}
}

func testIfAbsent(t *testing.T, ctx context.Context, st objstore.Store) {
	first := put(t, ctx, st, "s/1", "first", objstore.PutOptions{IfAbsent: true})
	for _, text := range []string{"second", "first", ""} {
		_, err := st.Put(ctx, "s/1", strings.NewReader(text), int64(len(text)), objstore.PutOptions{IfAbsent: true})
		want(t, "second create", err, objstore.ErrExists)
	}
	if got := get(t, ctx, st, "s/1", 0, -1); got != "first" {
		t.Errorf("the object is now %q", got)
	}
	if now, err := st.Stat(ctx, "s/1"); err != nil || now.ETag != first.ETag || now.Version != first.Version {
		t.Errorf("the object changed: %+v, %v", now, err)
	}
	if err := st.Delete(ctx, "s/1"); err != nil {
		t.Fatal(err)
	}
	caps, err := st.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// In a versioned store the hidden object may still count as present: services differ.
	if _, err = st.Put(ctx, "s/1", strings.NewReader("again"), 5, objstore.PutOptions{IfAbsent: true}); err != nil && (!caps.Versioning || !errors.Is(err, objstore.ErrExists)) {
		t.Errorf("create after the deletion: %v", err)
	}
}

func testIfAbsentRace(t *testing.T, ctx context.Context, st objstore.Store) {
	const writers = 8
	for round := range 5 {
		key := fmt.Sprintf("race/%d", round)
		var winners, losers atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				text := strings.Repeat(fmt.Sprint(w), 10_000)
				_, err := st.Put(ctx, key, strings.NewReader(text), int64(len(text)), objstore.PutOptions{IfAbsent: true})
				switch {
				case err == nil:
					winners.Add(1)
					winner.Store(text)
				case errors.Is(err, objstore.ErrExists):
					losers.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 || losers.Load() != writers-1 {
			t.Fatalf("%d writers won and %d lost", winners.Load(), losers.Load())
		}
		if got := get(t, ctx, st, key, 0, -1); got != winner.Load() {
			t.Fatal("the object is not the winner's")
		}
	}
}

func testIfMatch(t *testing.T, ctx context.Context, st objstore.Store) {
	one := put(t, ctx, st, "lease", "one", objstore.PutOptions{})
	two := put(t, ctx, st, "lease", "two!", objstore.PutOptions{IfMatch: one.ETag})
	_, err := st.Put(ctx, "lease", strings.NewReader("three"), 5, objstore.PutOptions{IfMatch: one.ETag})
	want(t, "stale tag", err, objstore.ErrChanged)
	if got := get(t, ctx, st, "lease", 0, -1); got != "two!" {
		t.Errorf("the object is %q", got)
	}
	_, err = st.Put(ctx, "no-lease", strings.NewReader("x"), 1, objstore.PutOptions{IfMatch: two.ETag})
	want(t, "missing object", err, objstore.ErrChanged)
	var winners atomic.Int32
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			text := fmt.Sprintf("writer %d", w)
			_, err := st.Put(ctx, "lease", strings.NewReader(text), int64(len(text)), objstore.PutOptions{IfMatch: two.ETag})
			if err == nil {
				winners.Add(1)
			} else {
				want(t, "race", err, objstore.ErrChanged)
			}
		})
	}
	wg.Wait()
	if winners.Load() != 1 {
		t.Errorf("%d writers replaced the same tag", winners.Load())
	}
}

func testOverwrite(t *testing.T, ctx context.Context, st objstore.Store) {
	a := put(t, ctx, st, "o", "aaaa", objstore.PutOptions{})
	b := put(t, ctx, st, "o", "bbbb", objstore.PutOptions{})
	if a.ETag == b.ETag {
		t.Error("the tag did not change")
	}
	if got := get(t, ctx, st, "o", 0, -1); got != "bbbb" {
		t.Errorf("the object is %q", got)
	}
	if got := keys(t, ctx, st, ""); len(got) != 1 {
		t.Errorf("keys %v", got)
	}
}

func testWrongSize(t *testing.T, ctx context.Context, st objstore.Store) {
	for _, size := range []int64{0, 3, 5, 100} {
		for name, r := range map[string]io.Reader{"seekable": strings.NewReader("four"), "stream": io.MultiReader(strings.NewReader("four"))} {
			if _, err := st.Put(ctx, "w", r, size, objstore.PutOptions{}); err == nil {
				t.Errorf("%s of 4 bytes was stored as %d", name, size)
			}
		}
	}
	broken := errors.New("disk error")
	_, err := st.Put(ctx, "w", io.MultiReader(strings.NewReader("fo"), failing{broken}), 4, objstore.PutOptions{})
	want(t, "a source that breaks", err, broken)
	if got := keys(t, ctx, st, ""); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func testReaderKinds(t *testing.T, ctx context.Context, st objstore.Store) {
	data := bytes.Repeat([]byte("ab"), 500)
	half := bytes.NewReader(data)
	if _, err := half.Seek(500, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		r io.Reader
		n int64
	}{"stream": {io.MultiReader(bytes.NewReader(data)), 1000}, "buffer": {bytes.NewBuffer(bytes.Clone(data)), 1000}, "middle": {half, 500}, "section": {io.NewSectionReader(bytes.NewReader(data), 100, 700), 700}} {
		if _, err := st.Put(ctx, name, c.r, c.n, objstore.PutOptions{IfAbsent: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := get(t, ctx, st, name, 0, -1); got != string(data[:c.n]) {
			t.Errorf("%s: %d bytes came back", name, len(got))
		}
	}
}
