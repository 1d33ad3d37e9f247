package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/svc/runs"
)

func TestO3_FiguresAreWrittenWholeAndReadAsPrometheusDoes(t *testing.T) {
	folder := t.TempDir()
	l, err := paths.New(t.TempDir(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(l.Etc(), 0o750); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Metrics.Textfile = folder
	if err := config.Save(l.Config(), &c); err != nil {
		t.Fatal(err)
	}
	r, _, _ := testRun(t, func(g *globalFlags) { g.prefix = l.Prefix })
	now := time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return now }
	r.rememberFacts("backup", "saved", map[string]float64{"saved_bytes": 4711, "duration_seconds": 1.5}, nil)
	r.remember("verify", "", os.ErrPermission)
	k := keeperOf(l, r.now)
	one, log, err := k.Begin("backup", []string{"backup", "run"})
	if err == nil {
		err = log.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	one.Exit = 15
	now = now.Add(90 * time.Second)
	if err := k.End(one); err != nil {
		t.Fatal(err)
	}
	if err := r.writeMetrics(l); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 1 || files[0].Name() != "practicectl_main.prom" {
		t.Fatalf("%v %v", files, err)
	}
	data, err := os.ReadFile(filepath.Join(folder, files[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	got := map[string]float64{}
	for name, f := range families {
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		for _, m := range f.Metric {
			key := name
			for _, label := range m.Label {
				if label.GetName() == "work" || label.GetName() == "job" {
					key += " " + label.GetValue()
				}
			}
			got[key] = m.Gauge.GetValue()
		}
	}
	begun := float64(time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC).Unix())
	for key, want := range map[string]float64{
		"practicectl_last_ok backup": 1, "practicectl_last_ok verify": 0, "practicectl_last_success_timestamp_seconds backup": begun,
		"practicectl_saved_bytes backup": 4711, "practicectl_duration_seconds backup": 1.5, "practicectl_job_last_exit_code backup": 15,
		"practicectl_job_last_duration_seconds backup": 90, "practicectl_job_last_success_timestamp_seconds backup": begun, "practicectl_last_end_timestamp_seconds verify": begun,
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("%s is %v (%v), want %v", key, value, ok, want)
		}
	}
	if _, ok := got["practicectl_last_success_timestamp_seconds verify"]; ok {
		t.Error("verify never succeeded")
	}
	if _, err := (runs.Keeper{Dir: k.Dir, Now: r.now}).Find(one.ID); err != nil {
		t.Error(err)
	}
}
