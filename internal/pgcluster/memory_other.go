//go:build !linux

package pgcluster

// machineMemory is unknown here: the tuning then assumes the smallest supported host.
func machineMemory() uint64 { return 0 }
