package updater

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reflink makes dst share src's blocks (ioctl_ficlone(2)) and reports whether the file system could.
func reflink(src, dst string) (bool, error) {
	in, err := os.Open(src)
	if err != nil {
		return false, err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return false, err
	}
	cloned := unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil
	return cloned, errors.Join(out.Close())
}
