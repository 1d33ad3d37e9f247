package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"practicectl/internal/uerr"
)

// Plan is what [Run] would do on the machine as it is now.
type Plan struct {
	Steps  []Planned `json:"steps"`
	Digest string    `json:"digest"` // SHA-256 over Steps: equal digests mean equal plans
}

// Planned is one step of a plan.
type Planned struct {
	Name   string `json:"name"`
	Action string `json:"action"`
	State  string `json:"state"`         // "change", "satisfied" or "blocked"
	Why    string `json:"why,omitempty"` // of a blocked step
}

// Changes returns how many steps have something to do or are blocked.
func (p Plan) Changes() int {
	n := 0
	for _, s := range p.Steps {
		if s.State != Satisfied.String() {
			n++
		}
	}
	return n
}

func (s State) String() string { return [...]string{"change", "satisfied", "blocked"}[s] }

// MakePlan checks every step and changes nothing. A blocked step is in the plan with its reason, and the first one is
// also the error, so that a caller may show everything and still refuse.
func MakePlan(ctx context.Context, list []Step) (Plan, error) {
	if err := checkNames(list); err != nil {
		return Plan{}, err
	}
	p := Plan{Steps: make([]Planned, 0, len(list))}
	var blocked error
	for _, s := range list {
		state, err := s.Check(ctx)
		if ctx.Err() != nil {
			return Plan{}, ctx.Err()
		}
		if err != nil {
			state = Blocked
		}
		row := Planned{Name: s.Name(), Action: s.Plan(), State: state.String()}
		if state == Blocked {
			if err == nil {
				err = errors.New("blocked")
			}
			row.Why = err.Error()
			if blocked == nil {
				blocked = failed(s, err)
			}
		}
		p.Steps = append(p.Steps, row)
	}
	data, err := json.Marshal(p.Steps)
	if err != nil {
		return Plan{}, err
	}
	sum := sha256.Sum256(data)
	p.Digest = hex.EncodeToString(sum[:])
	return p, blocked
}

func checkNames(list []Step) error {
	seen := map[string]bool{}
	for _, s := range list {
		if s.Name() == "" || seen[s.Name()] {
			return uerr.New(uerr.Failed, "make the plan", "", fmt.Errorf("step name %q is empty or there twice", s.Name()), "")
		}
		seen[s.Name()] = true
	}
	return nil
}
