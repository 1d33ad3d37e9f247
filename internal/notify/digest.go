package notify

import (
	"cmp"
	"slices"
	"time"
)

// Window is the time after a mail in which further failures wait for the next one: a broken night sends one mail.
const Window = 12 * time.Hour

// State is what has been told. It is kept between runs.
type State struct {
	Failing   []Failing `json:"failing"`   // by job
	Recovered []Event   `json:"recovered"` // of those that were told, not told yet
	Mailed    time.Time `json:"mailed,omitzero"`
}

// Failing is a job whose last run failed.
type Failing struct {
	Last  Event     `json:"last"`
	Since time.Time `json:"since"` // the first failure
	Count int       `json:"count"` // of failures
	Told  bool      `json:"told"`
}

// Digest is what one mail says.
type Digest struct {
	Failing   []Failing
	Recovered []Event
}

// Note takes an event in and returns the state after it and the digest to send now; nil: none. The new state counts once the mail
// is sent; when it cannot be sent, [State.Unsent] of it does.
func (s State) Note(e Event) (State, *Digest) {
	s.Failing, s.Recovered = slices.Clone(s.Failing), slices.Clone(s.Recovered)
	if e.Skipped {
		return s, nil
	}
	i := slices.IndexFunc(s.Failing, func(f Failing) bool { return f.Last.Job == e.Job })
	switch {
	case e.Exit != 0 && i < 0:
		s.Failing = append(s.Failing, Failing{Last: e, Since: e.At, Count: 1})
		s.Recovered = slices.DeleteFunc(s.Recovered, func(r Event) bool { return r.Job == e.Job })
	case e.Exit != 0:
		s.Failing[i].Last = e
		s.Failing[i].Count++
	case i >= 0:
		if s.Failing[i].Told {
			s.Recovered = append(s.Recovered, e)
		}
		s.Failing = slices.Delete(s.Failing, i, i+1)
	}
	slices.SortFunc(s.Failing, func(a, b Failing) int { return cmp.Compare(a.Last.Job, b.Last.Job) })
	quiet := e.At.Sub(s.Mailed)
	switch {
	case len(s.Failing) > 0 && e.Exit != 0 && (s.Mailed.IsZero() || quiet >= Window || quiet < 0): // a clock that went back keeps nobody silent
	case len(s.Failing) == 0 && len(s.Recovered) > 0: // all is well again
	default:
		return s, nil
	}
	d := &Digest{Failing: slices.Clone(s.Failing), Recovered: s.Recovered}
	for i := range s.Failing {
		s.Failing[i].Told = true
	}
	s.Recovered = nil
	if len(s.Failing) > 0 {
		s.Mailed = e.At
	}
	return s, d
}

// Unsent is the state to keep when the digest that came with it could not be sent: the next event tries again. before is the state
// that the event was noted in.
func (s State) Unsent(before State, d *Digest) State {
	s.Mailed, s.Recovered, s.Failing = before.Mailed, d.Recovered, slices.Clone(s.Failing)
	for i, f := range d.Failing {
		s.Failing[i].Told = f.Told
	}
	return s
}
