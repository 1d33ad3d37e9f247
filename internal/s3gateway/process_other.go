//go:build !linux

package s3gateway

import (
	"os"
	"syscall"
)

// Interrupt is the one signal that every system can send.
var stopSignal = os.Interrupt

func processAttributes(bool) *syscall.SysProcAttr { return nil }
