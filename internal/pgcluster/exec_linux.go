package pgcluster

import (
	"os/exec"
	"syscall"
)

// dieWithCaller ends a program when we are killed, so that no initdb goes on writing behind the next run's back. A server
// that pg_ctl started is not meant and lives on.
func dieWithCaller(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL }
