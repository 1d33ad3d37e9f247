// Package retain keeps the objects of a run locked in the store for as long as the snapshot's class promises.
//
// A [Keeper] stands before the store of one run: what goes through it is stored locked, and what a snapshot refers to and an
// earlier run stored is locked for longer when its time runs out. A store without object lock needs none.
package retain

import "time"

// Class is how long a snapshot is kept from being deleted.
type Class string

// The classes.
const (
	Daily   Class = "daily"
	Weekly  Class = "weekly"
	Monthly Class = "monthly"
)

const day = 24 * time.Hour

// Quantum is what every lock is longer than its class, so that locks are extended in half of these steps and not each night.
const Quantum = 14 * day

// Period is how long the snapshots of a class are kept at least.
func (c Class) Period() time.Duration {
	switch c {
	case Monthly:
		return 730 * day
	case Weekly:
		return 56 * day
	}
	return 14 * day
}

// ClassOf is the class of a snapshot begun at created, when the host's last locked snapshot was begun at last (zero: there
// is none): the first of a calendar month is monthly, else the first of an ISO week weekly. Both go by UTC.
func ClassOf(last, created time.Time) Class {
	last, created = last.UTC(), created.UTC()
	if last.IsZero() || last.Year() != created.Year() || last.Month() != created.Month() {
		return Monthly
	}
	y1, w1 := last.ISOWeek()
	if y2, w2 := created.ISOWeek(); y1 != y2 || w1 != w2 {
		return Weekly
	}
	return Daily
}
