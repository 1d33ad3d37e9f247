package pgcluster

import (
	"fmt"
	"strconv"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// smallestHost is assumed where the size of the machine cannot be told.
const smallestHost = 2 * gib

// tuning sizes the cluster for a host of 2 to 64 GB that also runs the server. memory and disk are in bytes.
func tuning(memory, disk uint64) [][2]string {
	if memory == 0 {
		memory = smallestHost
	}
	slot := uint64(20 * gib)
	if disk != 0 {
		slot = min(slot, disk/5)
	}
	return [][2]string{
		{"max_connections", "60"},
		{"shared_buffers", megabytes(clamp(memory/4, 32*mib, 8*gib))},
		{"effective_cache_size", megabytes(max(memory/10*6, 64*mib))},
		{"work_mem", megabytes(clamp(memory/512, 8*mib, 16*mib))},
		{"maintenance_work_mem", megabytes(clamp(memory/20, 32*mib, gib))},
		{"checkpoint_timeout", "15min"},
		{"max_wal_size", megabytes(clamp(disk/50, gib, 4*gib))},
		{"max_slot_wal_keep_size", megabytes(max(slot, gib))},
		{"random_page_cost", "1.1"},
	}
}

func clamp(v, low, high uint64) uint64 { return min(max(v, low), high) }

// megabytes writes a number of bytes as PostgreSQL reads it.
func megabytes(n uint64) string {
	if n%gib == 0 {
		return fmt.Sprintf("%dGB", n/gib)
	}
	return strconv.FormatUint(n/mib, 10) + "MB"
}
