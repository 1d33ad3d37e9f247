package drill

import (
	"time"

	"practicectl/backup/proof"
	"practicectl/backup/repo"
)

// Verdict is how a drill ended.
type Verdict string

// The verdicts.
const (
	Passed Verdict = "passed"
	Missed Verdict = "missed" // everything works, but it took longer than the objective, or would have lost more
	Failed Verdict = "failed"
)

// Evidence is what a drill found. It is signed and stored as it is, readable for everyone who reads the store: it holds no names
// and no content.
type Evidence struct {
	repo.EvidenceLink
	Verdict    Verdict          `json:"verdict"`
	Problem    *Problem         `json:"problem,omitempty"` // what stopped it, or what was found first
	Began      time.Time        `json:"began"`
	Ended      time.Time        `json:"ended"`
	Program    string           `json:"program"` // version of practicectl
	Machine    string           `json:"machine"` // such as "linux/amd64"
	PostgreSQL string           `json:"postgresql,omitempty"`
	Store      string           `json:"store"`
	Seed       uint64           `json:"seed,string"` // of everything that was left to chance
	Snapshot   *Restored        `json:"snapshot,omitempty"`
	Point      *Point           `json:"point,omitempty"`
	Phases     []Phase          `json:"phases"`
	Transfer   Transfer         `json:"transfer"`
	RTO        Objective        `json:"rto"` // from the beginning until everything was proved
	RPO        Objective        `json:"rpo"` // from the newest restorable state until the beginning of the drill
	Newest     time.Time        `json:"newest,omitzero"`
	Databases  []proof.Database `json:"databases"`
	Checks     []proof.Result   `json:"checks"`
	Removed    bool             `json:"removed"` // nothing of the scratch instance is left
}

// Restored is the snapshot that was restored.
type Restored struct {
	Key         string              `json:"key"`
	ID          string              `json:"id"`
	Host        string              `json:"host"`
	Chosen      string              `json:"chosen"` // "newest", "random" or "named"
	Created     time.Time           `json:"created"`
	Mode        string              `json:"mode"`
	Files       int64               `json:"files"`
	Bytes       int64               `json:"bytes"`
	Root        repo.ID             `json:"root"`
	LockedUntil time.Time           `json:"locked_until,omitzero"`
	Damaged     int                 `json:"damaged"` // pages that were damaged already when it was taken
	Database    *repo.DatabaseFacts `json:"database,omitempty"`
}

// Point is the moment that the restored database shows.
type Point struct {
	Asked   string    `json:"asked"`            // "the end of the snapshot", or a time
	Reached time.Time `json:"reached,omitzero"` // the last transaction that was replayed
	LSN     string    `json:"lsn,omitempty"`
}

// Phase is one part of the work and how long it took.
type Phase struct {
	Name    string  `json:"name"`
	Says    string  `json:"says"`
	Seconds float64 `json:"seconds"`
}

// Transfer is what was read from the store.
type Transfer struct {
	Requests int64   `json:"requests"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"` // in which at least one request was open
}

// Objective compares what was measured with what was promised.
type Objective struct {
	Seconds float64 `json:"seconds"`
	Limit   float64 `json:"limit"` // seconds; 0: none
	Known   bool    `json:"known"` // whether there is a measurement
}

// Met tells whether the objective was measured and kept.
func (o Objective) Met() bool { return o.Known && (o.Limit == 0 || o.Seconds <= o.Limit) }

// Problem is why a drill did not pass.
type Problem struct {
	Step  string `json:"step"`
	Kind  string `json:"kind"`
	Error string `json:"error"`
	Next  string `json:"next,omitempty"` // the command to type
}
