package retain

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Policy says which snapshots are kept: of each host the first one of each of the last so many days, ISO weeks and months (by
// UTC) that have any, everything younger than Least, everything locked or held, and the newest one. It is the first of a day
// and not the last, and it is never simply "the last N": whoever floods a repository with snapshots cannot push out one that
// was there before.
type Policy struct {
	Daily   int           `json:"daily"`
	Weekly  int           `json:"weekly"`
	Monthly int           `json:"monthly"`
	Least   time.Duration `json:"-"` // nothing younger is expired, by the store's clock
}

// Default is the policy where none is configured.
var Default = Policy{Daily: 14, Weekly: 8, Monthly: 24, Least: 7 * day}

// Candidate is what the policy looks at: facts of a signed header and of the store.
type Candidate struct {
	Key      string
	ID       string
	Host     string
	Created  time.Time // by the host's clock, signed
	Stored   time.Time // by the store's clock; nobody can set it back
	Bytes    int64     // what a restore lays down
	Database bool
	Locked   time.Time // nobody can delete it before; zero: not locked
	Held     bool
}

// future is how far a host's clock may lie ahead of the store's, and late how long a run may take: outside of these the two
// disagree on when the snapshot was taken.
const (
	future = day
	late   = 4 * day
)

// displaced tells whether the host and the store disagree on when the snapshot was taken: a wrong clock, a copied store, or a
// lie.
func (c Candidate) displaced() bool {
	return !c.Stored.IsZero() && (c.Created.After(c.Stored.Add(future)) || c.Created.Before(c.Stored.Add(-late)))
}

// Taken is the time of a candidate that both clocks bear out; the store's when they do not agree.
func (c Candidate) Taken() time.Time {
	if c.displaced() {
		return c.Stored
	}
	return c.Created
}

// Verdict is what becomes of a snapshot.
type Verdict struct {
	Candidate Candidate `json:"-"`
	Key       string    `json:"key"`
	Keep      bool      `json:"keep"`
	Why       string    `json:"why"` // in the words of a person
}

// Judge applies the policy at now, which should be the store's time. The verdicts are in the order of the snapshots' times.
// Doubts are reasons to expire nothing at all; see [Doubt].
func (p Policy) Judge(all []Candidate, now time.Time) ([]Verdict, []Doubt) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Candidate) int {
		return cmp.Or(a.Taken().Compare(b.Taken()), cmp.Compare(a.Key, b.Key))
	})
	hosts := map[string][]Candidate{}
	for _, c := range all {
		hosts[c.Host] = append(hosts[c.Host], c)
	}
	why := map[string]string{}
	var doubts []Doubt
	for _, host := range sortedKeys(hosts) {
		p.host(hosts[host], now, why)
		var expire []Candidate
		for _, c := range hosts[host] {
			if why[c.Key] == "" {
				expire = append(expire, c)
			}
		}
		if len(expire) > 0 {
			doubts = append(doubts, doubtsOf(host, hosts[host], expire, now)...)
		}
	}
	out := make([]Verdict, len(all))
	for i, c := range all {
		out[i] = Verdict{Candidate: c, Key: c.Key, Keep: why[c.Key] != "", Why: cmp.Or(why[c.Key], "outside of the retention")}
	}
	return out, doubts
}

// host notes why snapshots of one host are kept. They are in the order of their times.
func (p Policy) host(all []Candidate, now time.Time, why map[string]string) {
	keep := func(c Candidate, reason string) {
		if why[c.Key] == "" {
			why[c.Key] = reason
		}
	}
	keep(all[len(all)-1], "the newest")
	for _, c := range all {
		switch {
		case c.Held:
			keep(c, "held")
		case c.Locked.After(now):
			keep(c, "locked until "+c.Locked.UTC().Format(time.DateOnly))
		case c.Stored.After(now.Add(-p.Least)):
			keep(c, fmt.Sprintf("younger than %d days", int(p.Least/day)))
		}
	}
	// Two clocks are followed side by side. The signed time may be a lie of a host that was taken over, but the store's cannot be
	// set back; in a copied store the store's time is that of the copying, but the signed time is right.
	for _, clock := range []func(Candidate) time.Time{
		func(c Candidate) time.Time { return c.Created },
		func(c Candidate) time.Time { return c.Stored },
	} {
		p.calendar(all, clock, now, keep)
	}
	var agreed []Candidate
	for _, c := range all {
		if !c.displaced() {
			agreed = append(agreed, c)
		}
	}
	p.calendar(agreed, Candidate.Taken, now, keep)
}

// calendar keeps the first snapshot of each of the newest buckets.
func (p Policy) calendar(all []Candidate, clock func(Candidate) time.Time, now time.Time, keep func(Candidate, string)) {
	for _, rule := range []struct {
		n    int
		of   func(time.Time) string
		name string
	}{{p.Monthly, monthOf, "the first of "}, {p.Weekly, weekOf, "the first of week "}, {p.Daily, dayOf, "the first of "}} {
		first := map[string]Candidate{}
		for _, c := range all {
			t := clock(c)
			if t.IsZero() || t.After(now.Add(future)) {
				continue // it has not come yet
			}
			if had, ok := first[rule.of(t)]; !ok || t.Before(clock(had)) {
				first[rule.of(t)] = c
			}
		}
		buckets := sortedKeys(first)
		for _, b := range buckets[max(0, len(buckets)-rule.n):] {
			keep(first[b], rule.name+b)
		}
	}
}

func dayOf(t time.Time) string   { return t.UTC().Format(time.DateOnly) }
func monthOf(t time.Time) string { return t.UTC().Format("2006-01") }
func weekOf(t time.Time) string {
	y, w := t.UTC().ISOWeek()
	return fmt.Sprintf("%04d-W%02d", y, w)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
