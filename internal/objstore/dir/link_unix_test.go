//go:build !windows

package dir

import "syscall"

const errNoLinks = syscall.EPERM
