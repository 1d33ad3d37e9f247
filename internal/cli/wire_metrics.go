package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"practicectl/internal/atomicfile"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// metrics are the figures of the instance, as far as it knows them without asking anybody: how each kind of work last ended, and the
// facts of its last success.
func (r *run) metrics(l paths.Layout) (prometheus.Gatherer, error) {
	registry := prometheus.NewRegistry()
	labels := prometheus.Labels{"instance_name": l.Instance}
	gauge := func(name, help string, by ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "practicectl_" + name, Help: help, ConstLabels: labels}, by)
		registry.MustRegister(v)
		return v
	}
	ended := gauge("last_end_timestamp_seconds", "When this kind of work last ended, in Unix time.", "work")
	succeeded := gauge("last_success_timestamp_seconds", "When this kind of work last succeeded, in Unix time.", "work")
	ok := gauge("last_ok", "Whether the last run of this kind of work succeeded.", "work")
	files, err := filepath.Glob(lastRunFile(l, "*"))
	if err != nil {
		return nil, err
	}
	facts := map[string]*prometheus.GaugeVec{}
	for _, path := range files {
		work := strings.TrimSuffix(filepath.Base(path), ".json")
		last, err := readLastRun(l, work)
		if err != nil {
			continue // it only informs
		}
		ended.WithLabelValues(work).Set(float64(last.Ended.Unix()))
		ok.WithLabelValues(work).Set(map[bool]float64{true: 1}[last.OK])
		if !last.Succeeded.IsZero() {
			succeeded.WithLabelValues(work).Set(float64(last.Succeeded.Unix()))
		}
		for name, value := range last.Facts {
			if facts[name] == nil {
				facts[name] = gauge(name, "Of the last success: "+strings.ReplaceAll(name, "_", " ")+".", "work")
			}
			facts[name].WithLabelValues(work).Set(value)
		}
	}
	exit := gauge("job_last_exit_code", "Exit code of the job's last run.", "job")
	took := gauge("job_last_duration_seconds", "How long the job's last run took.", "job")
	success := gauge("job_last_success_timestamp_seconds", "When the job last succeeded, by itself or by hand, in Unix time.", "job")
	all, err := keeperOf(l, r.now).List("")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, one := range all {
		if seen[one.Job] || one.Ended.IsZero() {
			continue
		}
		seen[one.Job] = true
		exit.WithLabelValues(one.Job).Set(float64(one.Exit))
		took.WithLabelValues(one.Job).Set(one.Ended.Sub(one.Started).Seconds())
		if at, _ := r.lastSuccess(l, one.Job); !at.IsZero() {
			success.WithLabelValues(one.Job).Set(float64(at.Unix()))
		}
	}
	return registry, nil
}

// encodeMetrics writes figures in Prometheus' text format.
func encodeMetrics(w io.Writer, from prometheus.Gatherer) error {
	families, err := from.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return err
		}
	}
	return nil
}

// writeMetrics writes the figures for node_exporter's textfile collector, whole or not at all, when [metrics] asks for it.
func (r *run) writeMetrics(l paths.Layout) error {
	folder := r.quietConfig().Metrics.Textfile
	if folder == "" {
		return nil
	}
	const op, hint = "write the figures into", "make the folder, writable for the account of the instance, or empty metrics.textfile"
	if _, err := os.Stat(folder); err != nil {
		return uerr.New(uerr.Precond, op, folder, err, hint)
	}
	from, err := r.metrics(l)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := encodeMetrics(&text, from); err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(filepath.Join(folder, "practicectl_"+l.Instance+".prom"), 0o644, text.Bytes()); err != nil {
		return uerr.New(uerr.Precond, op, folder, err, hint)
	}
	return nil
}
