package storetest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/objstore/storetest"
)

func TestFaultyFailsAsTold(t *testing.T) {
	ctx := context.Background()
	real, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var hooked []string
	f := storetest.NewFaulty(real,
		storetest.Rule{Op: storetest.Put, Prefix: "p/", Nth: 2, Times: 1, Err: objstore.ErrNoSpace},
		storetest.Rule{Op: storetest.Put, Prefix: "s/", Done: true, Err: objstore.ErrUnreachable},
		storetest.Rule{Op: storetest.Get, Prefix: "p/", AfterBytes: 2, Err: objstore.ErrUnreachable},
		storetest.Rule{Op: storetest.Stat, Hook: func(k string) { hooked = append(hooked, k) }},
	)
	put := func(key string) error {
		_, err := f.Put(ctx, key, strings.NewReader("text"), 4, objstore.PutOptions{})
		return err
	}
	for i, want := range []error{nil, objstore.ErrNoSpace, nil} {
		if err := put("p/x"); !errors.Is(err, want) {
			t.Errorf("put %d: %v", i+1, err)
		}
	}
	if err := put("s/1"); !errors.Is(err, objstore.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if _, err := f.Stat(ctx, "s/1"); err != nil {
		t.Errorf("the put whose answer was lost did not happen: %v", err)
	}
	r, err := f.Get(ctx, "p/x", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if string(got) != "te" || !errors.Is(err, objstore.ErrUnreachable) {
		t.Errorf("%q %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if f.Calls(storetest.Put) != 4 || len(f.Keys(storetest.Stat)) != 1 || len(hooked) != 1 || f.Sent() != 12 {
		t.Errorf("%d puts, keys %v, hooked %v, sent %d", f.Calls(storetest.Put), f.Keys(storetest.Stat), hooked, f.Sent())
	}
}
