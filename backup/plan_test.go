package backup_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
)

// TestO5_ThePlanTellsWhatTheRestoreDoes compares the numbers that were shown with what was done, and pins their names in JSON.
func TestO5_ThePlanTellsWhatTheRestoreDoes(t *testing.T) {
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	fill(t, connect(t, c), 500)
	st, _ := dirStore(t)
	g := newRig(t, st)
	g.packSize = smallPack
	g.run(source(c, writeFiles(t, 51)))
	target := restoreFolder(t, c)
	plan, err := backup.PlanRestore(t.Context(), g.holder(), backup.Target{Snapshot: "latest", Dir: target})
	if err == nil {
		err = plan.Measure(t.Context(), time.Now)
	}
	if err != nil {
		t.Fatal(err)
	}
	if e := plan.Estimate; e.Seconds <= 0 || e.Store <= 0 || e.Measured <= 0 || e.Measured > 4<<20 {
		t.Errorf("estimate: %+v", e)
	}
	var fields map[string]any
	text, err := json.Marshal(plan)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	want := "bytes download estimate files free key log packs requests snapshot target write"
	if got := strings.Join(slices.Sorted(maps.Keys(fields)), " "); err != nil || got != want {
		t.Errorf("the plan in JSON has %q, want %q: %v", got, want, err)
	}
	download, log, requests, write := plan.Download, plan.Log, int64(plan.Requests), plan.Write
	rep, err := backup.Restore(t.Context(), plan, backup.RestoreOptions{Now: time.Now}, progress.None)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Written != write || rep.Read != download-log || rep.Requests > requests || rep.Files != plan.Files || rep.Bytes != plan.Bytes {
		t.Errorf("%d bytes to read, %d of log, %d to write in %d requests were planned; it was %+v", download, log, write, requests, rep)
	}
	fields = nil
	if text, err = json.Marshal(rep); err == nil {
		err = json.Unmarshal(text, &fields)
	}
	want = "bytes database downloaded files key proved requests seconds snapshot target torn_pages written"
	if got := strings.Join(slices.Sorted(maps.Keys(fields)), " "); err != nil || got != want {
		t.Errorf("the report in JSON has %q, want %q: %v", got, want, err)
	}
}
