package retain

import (
	"fmt"
	"time"
)

// Doubt is a reason to expire nothing: what is new looks as if somebody wanted the old to go.
type Doubt struct {
	Name string `json:"name"` // one of [DoubtNames]; accepting it is a person's decision
	Host string `json:"host"`
	Why  string `json:"why"`
}

// DoubtNames are the kinds of doubt.
var DoubtNames = []string{"shrunk", "burst", "future", "stale", "clock"}

const (
	burst  = 48       // snapshots within a day; hourly ones are 24
	recent = 14 * day // what happened before is not news any more
)

// Stale is how old the newest snapshot may be before something is wrong with the backups or with the clock.
const Stale = 14 * day

// doubtsOf looks at the snapshots of a host, in the order of their times, of which some would be expired.
func doubtsOf(host string, all, expire []Candidate, now time.Time) (out []Doubt) {
	doubt := func(name, format string, args ...any) {
		out = append(out, Doubt{name, host, fmt.Sprintf(format, args...)})
	}
	newest := all[len(all)-1]
	var largest int64
	database := false
	for _, c := range expire {
		largest = max(largest, c.Bytes)
		database = database || c.Database
	}
	switch {
	case newest.Bytes < largest/2:
		doubt("shrunk", "the newest snapshot has %d MiB and one that would go has %d MiB", newest.Bytes>>20, largest>>20)
	case database && !newest.Database:
		doubt("shrunk", "the newest snapshot has no database and one that would go has one")
	}
	for i, c := range all {
		if c.Created.After(c.Stored.Add(future)) && c.Stored.After(now.Add(-recent)) {
			doubt("future", "a snapshot is dated %s and was stored on %s: a clock was wrong, or it was made up", dayOf(c.Created), dayOf(c.Stored))
			break
		}
		if j := i + burst; j < len(all) && c.Stored.After(now.Add(-recent)) && all[j].Stored.Sub(c.Stored).Abs() < day {
			doubt("burst", "more than %d snapshots were stored within a day, from %s on", burst, dayOf(c.Stored))
			break
		}
	}
	switch age := now.Sub(newest.Taken()); {
	case age > Stale:
		doubt("stale", "the newest snapshot is %d days old: backups do not run, or the clock is ahead", int(age/day))
	case age < -time.Hour:
		doubt("clock", "it is %s by the clock, and the newest snapshot is of %s", dayOf(now), dayOf(newest.Taken()))
	}
	return out
}
