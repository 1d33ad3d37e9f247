package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// lastRun is how a kind of work last ended here, and when it last succeeded. It only informs: losing it loses nothing.
type lastRun struct {
	Ended     time.Time `json:"ended"`
	OK        bool      `json:"ok"`
	Kind      string    `json:"kind,omitempty"` // of the error
	Error     string    `json:"error,omitempty"`
	Succeeded time.Time `json:"succeeded,omitzero"`
	Detail    string    `json:"detail,omitempty"` // of the last success, one line
	// Facts are figures of the last success, for monitoring: names as in the metrics, in seconds and bytes.
	Facts map[string]float64 `json:"facts,omitempty"`
}

func lastRunFile(l paths.Layout, what string) string {
	return filepath.Join(l.Var(), "last", what+".json")
}

// remember notes how a run ended. That it cannot be noted is only worth a line in the log.
func (r *run) remember(what, detail string, err error) { r.rememberFacts(what, detail, nil, err) }

// rememberFacts also keeps figures of a success.
func (r *run) rememberFacts(what, detail string, facts map[string]float64, err error) {
	l, lerr := r.layout()
	if lerr != nil {
		return
	}
	last, _ := readLastRun(l, what)
	last.Ended, last.OK, last.Kind, last.Error = r.now().UTC(), err == nil, "", ""
	if err == nil {
		last.Succeeded, last.Detail, last.Facts = last.Ended, detail, facts
	} else {
		last.Kind, last.Error = uerr.KindOf(err).String(), err.Error()
	}
	r.writeLastRun(l, what, last)
}

func (r *run) writeLastRun(l paths.Layout, what string, last lastRun) {
	data, err := json.MarshalIndent(last, "", "  ")
	path := lastRunFile(l, what)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o750)
	}
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o640, data)
	}
	if err != nil {
		r.log.Warn("note the end of the run", "what", what, "error", err)
	}
}

func readLastRun(l paths.Layout, what string) (lastRun, error) {
	var last lastRun
	data, err := os.ReadFile(lastRunFile(l, what))
	if err == nil {
		err = json.Unmarshal(data, &last)
	}
	return last, err
}
