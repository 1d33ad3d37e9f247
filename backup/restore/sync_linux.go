package restore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncTree makes everything below dir durable: one request to the file system instead of one for each of thousands of files.
func syncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}

// startWriteback asks the system to begin writing a stretch of a file to the disk. It only saves time.
func startWriteback(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// reserve takes the room of a file at once, so that a full disk is noticed before anything is fetched and the file lies in one
// piece. File systems that cannot do that are fine.
func reserve(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
