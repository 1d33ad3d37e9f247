package installer

import (
	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// cannot is an error of the file system: a full disk is NoSpace, anything else a failed precondition.
func cannot(op, subject string, err error) error {
	if diskspace.IsFull(err) {
		return uerr.New(uerr.NoSpace, op, subject, err, "free some disk space, then run the same command again")
	}
	return uerr.New(uerr.Precond, op, subject, err, "check who owns it, then run the same command again")
}
