// Package notify tells people and monitoring outside of the machine how jobs went: a dead-man ping and mail.
//
// What it sends leaves the practice: it never holds a secret, a path that is not the product's own, or anything of a patient.
// That something could not be sent is never a reason for a job to fail.
package notify

import "time"

// Event is how one run of a job ended.
type Event struct {
	Job     string        `json:"job"`
	Run     string        `json:"run"` // id of the run, for the log
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"took"`
	Exit    int           `json:"exit"`
	Kind    string        `json:"kind,omitempty"`    // of the error
	Error   string        `json:"error,omitempty"`   // redacted
	Hint    string        `json:"hint,omitempty"`    // redacted
	Skipped bool          `json:"skipped,omitempty"` // neither done nor failed: another run was at work, or somebody stopped it
}
