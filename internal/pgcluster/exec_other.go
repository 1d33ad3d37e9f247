//go:build !linux

package pgcluster

import "os/exec"

// dieWithCaller has no equivalent here.
func dieWithCaller(*exec.Cmd) {}
