package pgcluster

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// machineMemory returns the bytes of RAM this process may use: the machine's, or less in a container; 0 when unknown.
func machineMemory() uint64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var total uint64
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "MemTotal:" {
			kb, err := strconv.ParseUint(f[1], 10, 64)
			if err != nil {
				return 0
			}
			total = kb << 10
		}
	}
	if raw, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64); err == nil && limit < total {
			total = limit
		}
	}
	return total
}

// bootTime returns when the machine was started; the zero time when that cannot be told.
func bootTime() time.Time {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(raw)) {
		if sec, ok := strings.CutPrefix(line, "btime "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(sec), 10, 64)
			if err != nil {
				return time.Time{}
			}
			return time.Unix(n, 0)
		}
	}
	return time.Time{}
}
