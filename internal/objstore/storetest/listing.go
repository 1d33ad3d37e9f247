package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"practicectl/internal/objstore"
)

func testList(t *testing.T, ctx context.Context, st objstore.Store) {
	all := []string{"p/a", "p/a-b", "p/ab/c", "p/b/1", "p/b/10", "p/b/2", "p/b.d/x", "pp", "q/x", "repo.json", "Z"}
	for _, k := range all {
		put(t, ctx, st, k, k, objstore.PutOptions{})
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "p/", "p", "p/b", "p/b/", "p/b/1", "p/a", "q/x", "nothing/", "p/b."} {
		var wanted []string
		for _, k := range all {
			if strings.HasPrefix(k, prefix) {
				wanted = append(wanted, k)
			}
		}
		if got := keys(t, ctx, st, prefix); !slices.Equal(got, wanted) {
			t.Errorf("prefix %q:\n got %v\nwant %v", prefix, got, wanted)
		}
	}
	for info, err := range st.List(ctx, "p/ab/") {
		if err != nil || info.Size != 6 || info.ETag == "" || info.Modified.IsZero() {
			t.Errorf("%+v %v", info, err)
		}
	}
	for _, err := range st.List(ctx, "../") {
		if err == nil {
			t.Error("a bad prefix was listed")
		}
	}
}

func testListStops(t *testing.T, ctx context.Context, st objstore.Store) {
	for i := range 5 {
		put(t, ctx, st, fmt.Sprintf("l/%d", i), "x", objstore.PutOptions{})
	}
	n := 0
	for _, err := range st.List(ctx, "l/") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("got %d", n)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	var last error
	for _, err := range st.List(ctx, "l/") {
		last = err
	}
	want(t, "cancelled list", last, context.Canceled)
}

func testDelete(t *testing.T, ctx context.Context, st objstore.Store) {
	put(t, ctx, st, "d/1", "x", objstore.PutOptions{})
	put(t, ctx, st, "d/2", "x", objstore.PutOptions{})
	for range 2 {
		if err := st.Delete(ctx, "d/1"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := st.Stat(ctx, "d/1")
	want(t, "stat", err, objstore.ErrNotFound)
	if got := keys(t, ctx, st, "d/"); !slices.Equal(got, []string{"d/2"}) {
		t.Errorf("keys %v", got)
	}
}

func testKeys(t *testing.T, ctx context.Context, st objstore.Store) {
	for _, key := range []string{"", "/", "/etc/passwd", "../x", "a/../b", "a/..", ".", "..", "a//b", "a/", "/a", "a\\b", "a b", "ä", "a\x00b", "a\nb", ".hidden", "a/.tmp/b", "end.", "C:x", "a?b", strings.Repeat("k", 600)} {
		if _, err := st.Put(ctx, key, strings.NewReader("x"), 1, objstore.PutOptions{}); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("put %q: %v", key, err)
		}
		if r, err := st.Get(ctx, key, 0, -1); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("get %q: %v", key, err)
			if err == nil {
				_ = r.Close()
			}
		}
		if _, err := st.Stat(ctx, key); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("stat %q: %v", key, err)
		}
		if err := st.Delete(ctx, key); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	if got := keys(t, ctx, st, ""); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func testCancelled(t *testing.T, ctx context.Context, st objstore.Store) {
	put(t, ctx, st, "c", "x", objstore.PutOptions{})
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err := st.Put(ctx, "c2", strings.NewReader("x"), 1, objstore.PutOptions{})
	want(t, "put", err, context.Canceled)
	_, err = st.Get(ctx, "c", 0, -1)
	want(t, "get", err, context.Canceled)
	_, err = st.Stat(ctx, "c")
	want(t, "stat", err, context.Canceled)
	want(t, "delete", st.Delete(ctx, "c"), context.Canceled)
}

func testVersions(t *testing.T, ctx context.Context, st objstore.Store) {
	caps, err := st.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	put(t, ctx, st, "v", "1", objstore.PutOptions{})
	put(t, ctx, st, "v", "22", objstore.PutOptions{})
	put(t, ctx, st, "vv", "other", objstore.PutOptions{})
	put(t, ctx, st, "v-x/v", "other", objstore.PutOptions{})
	var sizes []int64
	read := func() {
		sizes = nil
		for info, err := range st.Versions(ctx, "v") {
			if err != nil || info.Key != "v" || (caps.Versioning && info.Version == "") {
				t.Fatalf("%+v %v", info, err)
			}
			if info.Deleted {
				sizes = append(sizes, -1)
			} else {
				sizes = append(sizes, info.Size)
			}
		}
	}
	read()
	wanted := []int64{2}
	if caps.Versioning {
		wanted = []int64{2, 1}
	}
	if !slices.Equal(sizes, wanted) {
		t.Errorf("sizes %v, want %v", sizes, wanted)
	}
	if err := st.Delete(ctx, "v"); err != nil {
		t.Fatal(err)
	}
	read()
	wanted = nil
	if caps.Versioning {
		wanted = []int64{-1, 2, 1}
	}
	if !slices.Equal(sizes, wanted) {
		t.Errorf("after the deletion: sizes %v, want %v", sizes, wanted)
	}
	testOldVersions(t, ctx, st, caps.Versioning)
}

// testOldVersions reads and removes versions that are not the newest.
func testOldVersions(t *testing.T, ctx context.Context, st objstore.Store, versioning bool) {
	t.Helper()
	all := func() (out []objstore.Info) {
		for info, err := range st.AllVersions(ctx, "v") {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, info)
		}
		return out
	}
	list := all()
	if !versioning {
		if len(list) != 2 || list[0].Key != "v-x/v" || list[1].Key != "vv" {
			t.Errorf("versions %+v", list)
		}
		if err := st.DeleteVersion(ctx, "vv", ""); err != nil || len(all()) != 1 {
			t.Errorf("the only version was not removed: %v", err)
		}
		return
	}
	if len(list) != 5 || list[0].Key != "v" || !list[0].Deleted || list[3].Key != "v-x/v" || list[4].Key != "vv" {
		t.Fatalf("versions %+v", list)
	}
	for i, text := range []string{"22", "1"} {
		v := list[i+1].Version
		r, err := st.GetVersion(ctx, "v", v, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || string(data) != text {
			t.Errorf("version %d is %q, %v", i, data, err)
		}
		if info, err := st.StatVersion(ctx, "v", v); err != nil || info.Size != int64(len(text)) || info.Version != v {
			t.Errorf("version %d: %+v, %v", i, info, err)
		}
	}
	for _, one := range list[:2] {
		for range 2 { // what is gone is no error
			if err := st.DeleteVersion(ctx, "v", one.Version); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := get(t, ctx, st, "v", 0, -1); got != "1" {
		t.Errorf("the first version is the newest now and reads %q", got)
	}
	_, err := st.GetVersion(ctx, "v", list[1].Version, 0, -1)
	want(t, "a removed version", err, objstore.ErrNotFound)
}

func testRetention(t *testing.T, ctx context.Context, st objstore.Store) {
	caps, err := st.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour)
	if !caps.ObjectLock {
		_, err := st.Put(ctx, "k", strings.NewReader("x"), 1, objstore.PutOptions{RetainUntil: until})
		want(t, "put with a lock", err, objstore.ErrUnsupported)
		put(t, ctx, st, "k", "x", objstore.PutOptions{})
		want(t, "retain", st.Retain(ctx, "k", "", until), objstore.ErrUnsupported)
		return
	}
	info := put(t, ctx, st, "k", "x", objstore.PutOptions{RetainUntil: until, IfAbsent: true})
	check := func(atLeast time.Time) {
		t.Helper()
		got, err := st.Stat(ctx, "k")
		if err != nil || got.RetainUntil.Before(atLeast) || got.RetainUntil.After(atLeast.Add(2*time.Second)) {
			t.Errorf("locked until %v, want %v (%v)", got.RetainUntil, atLeast, err)
		}
	}
	check(until)
	longer := until.Add(time.Hour)
	if err := st.Retain(ctx, "k", info.Version, longer); err != nil {
		t.Fatal(err)
	}
	check(longer)
	want(t, "shortening", st.Retain(ctx, "k", info.Version, until), objstore.ErrLocked)
	check(longer)
	if err := st.Delete(ctx, "k"); err != nil { // hides it
		t.Fatal(err)
	}
	kept := false
	for v, err := range st.Versions(ctx, "k") {
		if err != nil {
			t.Fatal(err)
		}
		kept = kept || (v.Version == info.Version && !v.Deleted)
	}
	if !kept {
		t.Error("the locked version is gone")
	}
	// versitygw keeps the lock of a hidden version and does not show it.
	if err := st.DeleteVersion(ctx, "k", info.Version); !errors.Is(err, objstore.ErrLocked) && !errors.Is(err, objstore.ErrAuth) {
		t.Errorf("removing a locked version: %v", err)
	}
	if got, err := st.StatVersion(ctx, "k", info.Version); err != nil || got.Size != 1 {
		t.Errorf("the locked version is gone: %v", err)
	}
}

func testParallel(t *testing.T, ctx context.Context, st objstore.Store) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				key := fmt.Sprintf("par/%d/%d", w, i)
				text := strings.Repeat(key, 100)
				if _, err := st.Put(ctx, key, strings.NewReader(text), int64(len(text)), objstore.PutOptions{IfAbsent: true}); err != nil {
					t.Error(err)
					return
				}
				r, err := st.Get(ctx, key, 0, -1)
				if err != nil {
					t.Error(err)
					return
				}
				data, err := io.ReadAll(r)
				if err = errors.Join(err, r.Close()); err != nil || string(data) != text {
					t.Errorf("%s: %d bytes, %v", key, len(data), err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(keys(t, ctx, st, "par/")); n != 80 {
		t.Errorf("%d objects", n)
	}
}

func testProbe(t *testing.T, ctx context.Context, st objstore.Store) {
	caps, err := st.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !caps.IfAbsent || !caps.IfMatch {
		t.Errorf("%+v", caps)
	}
	if !caps.ObjectLock { // a lock leaves one byte for ten seconds
		if got := keys(t, ctx, st, ""); len(got) != 0 {
			t.Errorf("left behind: %v", got)
		}
	}
}

func testReaderAt(t *testing.T, ctx context.Context, st objstore.Store) {
	text := strings.Repeat("0123456789", 5000)
	put(t, ctx, st, "at", text, objstore.PutOptions{})
	r := objstore.ReaderAt(ctx, st, "at", int64(len(text)), 8<<10)
	for _, c := range []struct{ off, n int }{{0, 10}, {8190, 10}, {3, 40_000}, {49_990, 10}, {20_000, 1}} {
		p := make([]byte, c.n)
		if n, err := r.ReadAt(p, int64(c.off)); n != c.n || (err != nil && err != io.EOF) || string(p) != text[c.off:c.off+c.n] {
			t.Errorf("%d+%d: %d bytes, %v", c.off, c.n, n, err)
		}
	}
	if n, err := r.ReadAt(make([]byte, 100), 49_950); n != 50 || err != io.EOF {
		t.Errorf("over the end: %d, %v", n, err)
	}
}

func testLimit(t *testing.T, ctx context.Context, st objstore.Store) {
	slow := objstore.Limit(st, 400_000)
	text := strings.Repeat("x", 100_000)
	start := time.Now()
	put(t, ctx, slow, "slow", text, objstore.PutOptions{IfAbsent: true})
	if d := time.Since(start); d < 200*time.Millisecond || d > 3*time.Second {
		t.Errorf("100 kB at 400 kB/s took %v", d)
	}
	if get(t, ctx, slow, "slow", 0, -1) != text {
		t.Error("it came back changed")
	}
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	start = time.Now()
	_, err := slow.Put(ctx, "slow2", strings.NewReader(text), int64(len(text)), objstore.PutOptions{})
	want(t, "cancelled", err, context.DeadlineExceeded)
	if time.Since(start) > 2*time.Second {
		t.Error("cancelling took long")
	}
	if objstore.Limit(st, 0) != st {
		t.Error("no limit still wraps")
	}
}
