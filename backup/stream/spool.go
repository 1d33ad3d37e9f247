package stream

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"practicectl/backup/wal"
	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

const spoolDir = "spool"

// spool keeps sealed objects on the local disk, in the order in which the store is to get them. A file is what the object will
// be; its name is a number and the object's key.
type spool struct {
	dir   string
	limit int64 // bytes

	mu    sync.Mutex
	next  int64
	files int
	bytes int64
}

// errFull: the spool may not hold more.
var errFull = errors.New("the spool is full")

// spoolName is "<number>~<repository>~<key with dots for slashes>".
var spoolName = regexp.MustCompile(`^([0-9]{12})~([0-9a-f]{32})~([wg]\.[A-Za-z0-9.-]+)$`)

func (s *spool) info() SpoolInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SpoolInfo{s.files, s.bytes, s.limit}
}

// load lists what an earlier run left. What belongs to another repository stays where it is, and is not ours to judge.
func (s *spool) load(repository string) ([]*parcel, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, s.failed("read the spool", s.dir, err)
	}
	var out []*parcel
	for _, e := range entries {
		m := spoolName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		info, ierr := e.Info()
		if err := errors.Join(err, ierr); err != nil {
			return nil, s.failed("read the spool", s.dir, err)
		}
		s.next = max(s.next, n+1)
		s.files, s.bytes = s.files+1, s.bytes+info.Size()
		if m[2] != repository {
			continue
		}
		p := &parcel{key: strings.ReplaceAll(m[3], ".", "/"), file: filepath.Join(s.dir, e.Name()), size: info.Size(), since: info.ModTime()}
		if !p.parse() {
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *parcel) int { return cmp.Compare(a.file, b.file) })
	return out, nil
}

// put writes an object, durable when it returns. It returns errFull when there is no room.
func (s *spool) put(repository, key string, data []byte) (file string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+int64(len(data)) > s.limit {
		return "", errFull
	}
	file = filepath.Join(s.dir, fmt.Sprintf("%012d~%s~%s", s.next, repository, strings.ReplaceAll(key, "/", ".")))
	if err := atomicfile.WriteBytes(file, 0o600, data); err != nil {
		return "", s.failed("write to the spool", file, err)
	}
	s.next++
	s.files, s.bytes = s.files+1, s.bytes+int64(len(data))
	return file, nil
}

// drop removes an object that the store has.
func (s *spool) drop(file string, size int64) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.failed("remove from the spool", file, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files, s.bytes = s.files-1, s.bytes-size
	return nil
}

func (s *spool) failed(op, path string, err error) error {
	return uerr.New(uerr.Precond, op, path, err, "run the command as the account that owns the instance")
}

// parse finds out from the key what a parcel in the spool holds.
func (p *parcel) parse() bool {
	if s, _, ok := wal.ParseKey(p.key); ok {
		p.stretch = &s
		return true
	}
	if b, _, ok := wal.ParseBranchKey(p.key); ok {
		p.branch = &b
		return true
	}
	g, ok := parseGapKey(p.key)
	p.gap = &g
	return ok
}
