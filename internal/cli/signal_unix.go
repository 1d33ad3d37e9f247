//go:build !windows

package cli

import "syscall"

const terminate = syscall.SIGTERM
