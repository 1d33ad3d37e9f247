package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/uerr"
)

// Plan is what a collection will do. It is made once, shown, and executed; executing looks again and never does more.
type Plan struct {
	Snapshots []retain.Verdict `json:"snapshots"` // oldest first
	Expire    []string         `json:"expire"`    // keys of snapshots to forget, in this order
	Doubts    []retain.Doubt   `json:"doubts"`    // why none is expired
	Unproved  []Unproved       `json:"unproved"`
	Ignored   []string         `json:"ignored"`         // holds that are none
	Waits     string           `json:"waits,omitempty"` // why nothing that is due is removed
	Lists     []List           `json:"lists"`           // of garbage, that wait
	Remove    []string         `json:"remove"`          // keys that are due
	Freed     int64            `json:"freed"`           // bytes of these
	Found     []string         `json:"found"`           // keys that go onto a new list
	Bytes     int64            `json:"bytes"`           // of these

	repo *repo.Repo
	o    Options
}

// List is a list of garbage that lies in the store.
type List struct {
	Key     string    `json:"key"`
	Host    string    `json:"host"`
	Stored  time.Time `json:"stored"`
	Due     time.Time `json:"due"` // when what it names may be removed
	Objects int       `json:"objects"`
}

// NewPlan looks at the repository and tells what would be done. It writes nothing. What would be garbage when the expired snapshots
// are forgotten is counted as found. Error kinds: LossGuard (what is needed cannot be told), Auth, Unreachable, Integrity.
func NewPlan(ctx context.Context, r *repo.Repo, o Options) (*Plan, error) {
	v, err := look(ctx, r, o, o.Now())
	if err != nil {
		return nil, err
	}
	return v.plan(r, o), nil
}

func (v *view) plan(r *repo.Repo, o Options) *Plan {
	p := &Plan{Snapshots: v.verdicts, Expire: []string{}, Doubts: v.doubts, Unproved: v.unproved, Ignored: []string{}, Waits: v.waits, Lists: []List{}, Remove: v.due(), Found: v.garbage(), repo: r, o: o}
	for _, s := range v.expire {
		p.Expire = append(p.Expire, s.Key)
	}
	for _, err := range v.ignored {
		p.Ignored = append(p.Ignored, err.Error())
	}
	for _, l := range v.lists {
		p.Lists = append(p.Lists, List{Key: l.key, Host: l.Host, Stored: l.stored, Due: l.stored.Add(Grace), Objects: len(l.Keys)})
	}
	p.Freed, p.Bytes = v.bytes(p.Remove), v.bytes(p.Found)
	p.Doubts, p.Unproved = slices.Clip(append([]retain.Doubt{}, p.Doubts...)), slices.Clip(append([]Unproved{}, p.Unproved...))
	return p
}

// Empty tells whether there is nothing to do.
func (p *Plan) Empty() bool {
	return len(p.Expire)+len(p.Remove)+len(p.Found) == 0 && !slices.ContainsFunc(p.Unproved, func(u Unproved) bool { return u.Drop })
}

// Refusal is the error of a plan that doubts: kind LossGuard; nil when there are no doubts.
func (p *Plan) Refusal() error {
	if len(p.Doubts) == 0 {
		return nil
	}
	d := p.Doubts[0]
	return uerr.New(uerr.LossGuard, "expire snapshots of", d.Host, errors.New(d.Why),
		fmt.Sprintf("no snapshot was expired. Look at the newest ones (practicectl backup list); if all is well: practicectl backup prune --accept %s", d.Name))
}
