package runs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"practicectl/internal/uerr"
)

func TestO3_RunsAreNumberedWhateverTheClockSays(t *testing.T) {
	now := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	k := Keeper{Dir: filepath.Join(t.TempDir(), "runs"), Keep: 3, Now: func() time.Time { return now }}
	for i := range 5 {
		if i == 2 {
			now = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		r, log, err := k.Begin("backup", []string{"backup", "run"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(log, "run %d\n", i)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			continue // killed
		}
		r.Exit = i
		if err := k.End(r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := k.List("backup")
	if err != nil || len(got) != 3 || got[0].ID != "backup-00000005" || got[2].ID != "backup-00000003" {
		t.Fatalf("%+v %v", got, err)
	}
	if got[1].Exit != Killed || got[1].OK() || got[1].Error == "" {
		t.Errorf("a killed run: %+v", got[1])
	}
	if lines, err := Tail(got[0].Log, 100); err != nil || len(lines) != 1 || lines[0] != "run 4" {
		t.Errorf("%q %v", lines, err)
	}
	if info, err := os.Stat(got[0].Log); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	left, err := os.ReadDir(k.Dir)
	if err != nil || len(left) != 6 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
	if _, err := k.Find("backup-00000001"); uerr.KindOf(err) != uerr.NotFound {
		t.Error(err)
	}
}

func TestTailOfALongLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40_000 {
		fmt.Fprintf(f, "line %d of many that fill a log\n", i)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	lines, err := Tail(path, 100)
	if err != nil || len(lines) != 100 || lines[99] != "line 39999 of many that fill a log" || lines[0] != "line 39900 of many that fill a log" {
		t.Errorf("%d lines, %q … %v", len(lines), lines[:1], err)
	}
}
