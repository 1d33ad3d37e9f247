package testenv

import (
	"os/exec"
	"syscall"
)

// dieWithParent stops the server fast when the test process is killed.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGINT }
