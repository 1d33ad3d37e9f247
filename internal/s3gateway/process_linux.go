package s3gateway

import "syscall"

const stopSignal = syscall.SIGTERM

// processAttributes puts the server into its own process group, out of reach of the terminal's Ctrl-C.
func processAttributes(outlive bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if !outlive {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}
