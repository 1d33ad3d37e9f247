//go:build !linux

package pgcluster

import "time"

// machineMemory is unknown here: the tuning then assumes the smallest supported host.
func machineMemory() uint64 { return 0 }

// bootTime is unknown here: a pid file then is never taken for older.
func bootTime() time.Time { return time.Time{} }
