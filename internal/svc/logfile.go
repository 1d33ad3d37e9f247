package svc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

const (
	logLimit = 10 << 20 // bytes in one file
	logKeep  = 5        // old files: name.1 is the newest
)

// logFile is an append-only file of mode 0640 that makes room for itself: at its limit it becomes name.1 and a new one
// begins. What a service says is never a reason for it to stop, so a full disk loses lines, not the service.
type logFile struct {
	mu    sync.Mutex
	path  string
	limit int64
	f     *os.File
	size  int64
}

func openLog(path string, limit int64) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	l := &logFile{path: path, limit: limit}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size = f, info.Size()
	return nil
}

// Write appends p, rotating first when it would pass the limit. It always takes all of p.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil || l.size > 0 && l.size+int64(len(p)) > l.limit {
		l.rotate()
	}
	if l.f != nil {
		n, _ := l.f.Write(p) // a full disk must not stop the service
		l.size += int64(n)
	}
	return len(p), nil
}

func (l *logFile) rotate() {
	if l.f != nil {
		_ = l.f.Close() // nothing to save by failing here
		l.f = nil
	}
	for i := logKeep; i > 0; i-- {
		from := fmt.Sprintf("%s.%d", l.path, i-1)
		if i == 1 {
			from = l.path
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", l.path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break // an old file is overwritten later; the new one still begins
		}
	}
	_ = l.open() // on failure the next line tries again
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
