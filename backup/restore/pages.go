package restore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"practicectl/backup/pgsource"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// segmentPages is RELSEG_SIZE, the pages of one file of a relation, in every PostgreSQL that is packaged.
const segmentPages = 131072

var relationFile = regexp.MustCompile(`^(?:global|base/[0-9]+|pg_tblspc/[0-9]+/[^/]+/[0-9]+)/[0-9]+(?:_(?:fsm|vm|init))?(?:\.([0-9]+))?$`)

// firstBlock is the number of the first block of a file in its relation.
func firstBlock(name string) uint32 {
	m := relationFile.FindStringSubmatch(name)
	if m == nil || m[1] == "" {
		return 0
	}
	n, err := strconv.ParseUint(m[1], 10, 15)
	if err != nil {
		return 0
	}
	return uint32(n) * segmentPages
}

// suspects are pages whose checksum is wrong although they are what was saved. A page that was being written while it was saved
// may be so: the log has a whole image of it, and after recovery it must be right.
type suspects struct {
	mu    sync.Mutex
	pages []suspect
}

type suspect struct {
	file  *file
	block uint32
}

// check looks at the pages of an op while they are laid.
func (s *suspects) check(o op, data []byte) {
	for i := 0; i < len(data); i += repo.PageSize {
		page, block := data[i:i+repo.PageSize], o.file.first+uint32(o.slot)+uint32(i/repo.PageSize)
		if soundPage(page, block) {
			continue
		}
		s.mu.Lock()
		s.pages = append(s.pages, suspect{o.file, block})
		s.mu.Unlock()
	}
}

// soundPage compares a page with its checksum (storage/bufpage.h: pd_checksum lies at 8, pd_upper at 14).
func soundPage(page []byte, block uint32) bool {
	if binary.LittleEndian.Uint16(page[14:]) == 0 {
		return !slices.ContainsFunc(page, func(b byte) bool { return b != 0 })
	}
	return binary.LittleEndian.Uint16(page[8:]) == pgsource.Checksum(page, block)
}

// checksPages tells whether the file's pages have checksums.
func (p *Plan) checksPages(f *file) bool {
	return p.body.Database != nil && p.body.Database.Checksums && f.Kind == repo.Pages && relationFile.MatchString(f.Path)
}

// recheck reads the suspects again after the copy was started and has recovered. Pages that the snapshot names as damaged stay
// what they are, and so may those of free space maps, which PostgreSQL does not log and repairs when it reads them.
func (p *Plan) recheck(root *os.Root) error {
	for _, s := range p.suspects.pages {
		if strings.Contains(path.Base(s.file.path), "_fsm") || slices.ContainsFunc(p.Snapshot.Damaged, func(d repo.Damage) bool { return d.Path == s.file.Path && d.Block == s.block }) {
			continue
		}
		page, err := readPage(root, s.file.path, s.block-s.file.first)
		if err != nil {
			return writeError(s.file.path, err)
		}
		if page != nil && !soundPage(page, s.block) {
			return uerr.New(uerr.Integrity, "prove", s.file.path, fmt.Errorf("block %d has a wrong checksum after recovery", s.block), "restore another snapshot: practicectl backup list")
		}
	}
	return nil
}

// readPage reads a page of a file; nil: the log told that the file, or its end, is gone.
func readPage(root *os.Root, name string, no uint32) ([]byte, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	page := make([]byte, repo.PageSize)
	_, err = f.ReadAt(page, int64(no)*repo.PageSize)
	if errors.Is(err, io.EOF) {
		page, err = nil, nil
	}
	return page, errors.Join(err, f.Close())
}
