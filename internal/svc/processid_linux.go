package svc

import (
	"bytes"
	"fmt"
	"os"
)

// processMark tells a process from a later one with the same number: its start time in clock ticks since boot, and the
// boot. Empty when there is no such process or it is a zombie.
func processMark(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses and may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(fields[19]) + "@" + string(bytes.TrimSpace(boot))
}
