package restore

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// UndoSuffix is what the folder beside the target is called that holds the way back of a restore in place
// (docs/formats/restore-undo.md).
const UndoSuffix = ".undo"

// state is how far a restore in place is.
type state string

const (
	keeping  state = "keeping"  // what will be overwritten is being kept; the target is untouched
	changing state = "changing" // all of it is kept
	proving  state = "proving"  // the target is laid, and may have been started
	undoing  state = "undoing"
	done     state = "done"
)

// Names in the folder.
const (
	journalFile = "journal.json"
	pagesFile   = "pages"
	asideDir    = "aside"
)

// journal is the way back of a restore in place.
type journal struct {
	dir string

	Format   int    `json:"format"`
	Snapshot string `json:"snapshot"` // key
	State    state  `json:"state"`
	Started  bool   `json:"started,omitempty"` // PostgreSQL may have changed more than was kept
	Before   []kept `json:"before"`            // everything that was in the target
	// Aside are paths that were moved to aside/<number>, in this order, and come back in the reverse one.
	Aside []string `json:"aside"`
}

// kept is what a path of the target was.
type kept struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"` // type and permissions, as fs.FileMode
	Size int64       `json:"size,omitempty"`
}

// resumeJournal finds the way back that an interrupted restore left. One that had not changed anything, or was complete, is
// removed; one of another snapshot is refused. nil: there is none.
func (p *Plan) resumeJournal() (*journal, error) {
	j, err := readJournal(p.Target)
	if j == nil || err != nil {
		return nil, err
	}
	if j.State == keeping || j.State == done {
		return nil, j.remove()
	}
	if j.Snapshot != p.Key {
		return nil, uerr.New(uerr.LossGuard, opInPlace, p.Target, errors.New("a restore of another snapshot there is unfinished: "+j.Snapshot), "finish that one, or take it back: practicectl restore undo --target "+p.Target)
	}
	return j, nil
}

// UnfinishedIn is the key of the snapshot whose restore in place into dir is unfinished; "": none is.
func UnfinishedIn(dir string) (string, error) {
	j, err := readJournal(dir)
	if j == nil || err != nil || j.State == keeping || j.State == done {
		return "", err
	}
	return j.Snapshot, nil
}

func readJournal(target string) (*journal, error) {
	dir := target + UndoSuffix
	data, err := os.ReadFile(filepath.Join(dir, journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			return nil, uerr.New(uerr.LossGuard, opInPlace, target, errors.New("the folder "+dir+" is in the way and is not ours"), "move it away")
		}
		return nil, nil
	}
	j := &journal{dir: dir}
	if err == nil {
		err = json.Unmarshal(data, j)
	}
	if err == nil && j.Format != 1 {
		err = fmt.Errorf("its format %d is not known", j.Format)
	}
	if err != nil {
		return nil, uerr.New(uerr.Failed, "read the way back of a restore", dir, err, "")
	}
	return j, nil
}

// to makes a state durable.
func (j *journal) to(s state) error {
	j.State = s
	data, err := json.Marshal(j)
	if err == nil {
		err = atomicfile.WriteBytes(filepath.Join(j.dir, journalFile), 0o600, append(data, '\n'))
	}
	return writeErrorOrNil(j.dir, err)
}

// remove forgets the way back. The journal goes last: without it the folder would be taken for somebody's own.
func (j *journal) remove() error {
	err := errors.Join(os.RemoveAll(filepath.Join(j.dir, asideDir)), os.RemoveAll(filepath.Join(j.dir, pagesFile)))
	if err == nil {
		err = os.RemoveAll(j.dir)
	}
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(j.dir))
	}
	return writeErrorOrNil(j.dir, err)
}

// keep makes the way back: what the target has, what will be moved aside, and the bytes that will be overwritten. It is durable
// before anything changes. When there is no room for it, nothing has changed.
func (p *Plan) keep(d folder, o Options) (*journal, error) {
	j := &journal{dir: p.Target + UndoSuffix, Format: 1, Snapshot: p.Key, Aside: []string{}}
	if err := p.inventory(d, j); err != nil {
		return nil, err
	}
	if err := p.checkSpace(p.changes(j)); err != nil {
		return nil, err
	}
	err := os.Mkdir(j.dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = nil // empty, or readJournal would have refused it
	}
	if err == nil {
		err = j.to(keeping)
	}
	o.crash("journal begun")
	if err == nil {
		err = os.Mkdir(filepath.Join(j.dir, asideDir), 0o700)
	}
	if err == nil {
		err = p.sameDisk(j)
	}
	if err == nil {
		err = p.keepPages(d, j)
	}
	o.crash("pages kept")
	if err == nil {
		err = errors.Join(atomicfile.SyncDir(j.dir), atomicfile.SyncDir(filepath.Dir(j.dir)))
	}
	if err == nil {
		err = j.to(changing)
	}
	if err != nil {
		return nil, errors.Join(writeError(j.dir, err), j.remove())
	}
	o.crash("journal complete")
	return j, nil
}

// inventory lists what the target has, and what of it has to be moved out of the way.
func (p *Plan) inventory(d folder, j *journal) error {
	kinds, replaced := p.kinds(), map[string]bool{}
	for _, t := range p.trees {
		for _, f := range t.files {
			replaced[f.path] = p.replaced(f)
		}
	}
	control := filepath.Join(p.data, filepath.FromSlash(controlFile))
	err := p.each(d, func(rel string, e fs.DirEntry) error {
		info, err := e.Info()
		if err != nil {
			return err
		}
		j.Before = append(j.Before, kept{Path: rel, Mode: info.Mode(), Size: info.Size()})
		if lays(kinds, rel, e.Type()) && !replaced[rel] {
			return nil
		}
		if rel != control {
			j.Aside = append(j.Aside, rel)
		} else {
			j.Aside = slices.Insert(j.Aside, 0, rel)
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return err
}

// sameDisk refuses a target that is a file system of its own: nothing could be moved aside.
func (p *Plan) sameDisk(j *journal) error {
	from, to := filepath.Join(p.Target, ".practicectl-probe"), filepath.Join(j.dir, "probe")
	if err := os.WriteFile(from, nil, 0o600); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return errors.Join(uerr.New(uerr.Precond, opInPlace, p.Target, err, "it is a file system of its own, and the way back needs room beside it: restore into a new folder, without --in-place"), os.Remove(from))
	}
	return os.Remove(to)
}

// changes is about the room that a restore in place needs.
func (p *Plan) changes(j *journal) int64 {
	n := 2*p.toWrite() + p.need() - p.Bytes
	size := map[string]int64{}
	for _, k := range j.Before {
		size[k.Path] = k.Size
	}
	for _, t := range p.trees {
		for _, f := range t.files {
			n += max(0, f.Size-size[f.path])
		}
	}
	return n
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordHead precedes the bytes of each record: number of the file in Before, offset, length, CRC-32C of all of it.
const recordHead = 4 + 8 + 4 + 4

// keepPages copies every stretch that will be overwritten or cut off.
func (p *Plan) keepPages(d folder, j *journal) error {
	number := map[string]uint32{}
	for i, k := range j.Before {
		number[k.Path] = uint32(i)
	}
	type old struct {
		f     *file
		at, n int64
	}
	var list []old
	add := func(f *file, at, n int64) {
		if n = min(n, f.there-at); f.there >= 0 && n > 0 {
			list = append(list, old{f, at, n})
		}
	}
	for _, job := range p.jobs {
		for _, o := range *job {
			add(o.file, o.at, int64(o.n))
		}
	}
	for _, o := range p.zeros {
		add(o.file, o.at, int64(o.n))
	}
	for _, t := range p.trees {
		for _, f := range t.files {
			for at := f.Size; at < f.there; at += repo.MaxFrame {
				add(f, at, repo.MaxFrame)
			}
		}
	}
	slices.SortFunc(list, func(a, b old) int { return cmp.Or(cmp.Compare(a.f.no, b.f.no), cmp.Compare(a.at, b.at)) })
	out, err := os.OpenFile(filepath.Join(j.dir, pagesFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<20)
	var in *os.File
	var name string
	buf := make([]byte, recordHead+repo.MaxFrame)
	for _, k := range list {
		if in == nil || name != k.f.path {
			if in != nil {
				err = in.Close()
			}
			if err == nil {
				in, err = d.root.Open(k.f.path)
			}
			if err != nil {
				return errors.Join(err, out.Close())
			}
			name = k.f.path
		}
		b := buf[:recordHead+k.n]
		if _, err := in.ReadAt(b[recordHead:], k.at); err != nil {
			return errors.Join(err, in.Close(), out.Close())
		}
		binary.LittleEndian.PutUint32(b, number[k.f.path])
		binary.LittleEndian.PutUint64(b[4:], uint64(k.at))
		binary.LittleEndian.PutUint32(b[12:], uint32(k.n))
		binary.LittleEndian.PutUint32(b[16:], 0)
		binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b, castagnoli))
		if _, err := w.Write(b); err != nil {
			return errors.Join(err, in.Close(), out.Close())
		}
	}
	if in != nil {
		err = in.Close()
	}
	return errors.Join(err, w.Flush(), out.Sync(), out.Close())
}

// putAside moves what is in the way. What was moved already stays where it is, and what was laid in its place since goes.
func (j *journal) putAside(d folder) error {
	for i, rel := range j.Aside {
		there := filepath.Join(j.dir, asideDir, strconv.Itoa(i))
		if _, err := os.Lstat(there); err == nil {
			if err := d.root.RemoveAll(rel); err != nil {
				return writeError(rel, err)
			}
			continue
		}
		if err := os.Rename(filepath.Join(d.dir, rel), there); err != nil {
			return writeError(rel, err)
		}
		if i == 0 { // what makes a cluster startable must be gone before anything else changes
			if err := errors.Join(atomicfile.SyncDir(filepath.Dir(filepath.Join(d.dir, rel))), atomicfile.SyncDir(filepath.Dir(there))); err != nil {
				return writeError(rel, err)
			}
		}
	}
	return nil
}

// paths are what was there before.
func (j *journal) paths() map[string]bool {
	out := map[string]bool{}
	for _, k := range j.Before {
		out[k.Path] = true
	}
	return out
}

// apply makes the target what it was. It may be repeated.
func (j *journal) apply(d folder, o Options) error {
	aside := map[string]bool{}
	for _, rel := range j.Aside {
		aside[rel] = true
	}
	if err := j.putBackPages(d); err != nil {
		return err
	}
	for _, k := range j.Before {
		if aside[k.Path] || k.Mode&fs.ModeSymlink != 0 {
			continue
		}
		if _, err := d.root.Lstat(k.Path); errors.Is(err, fs.ErrNotExist) {
			continue // in a folder that is still aside
		}
		if k.Mode.IsRegular() {
			if err := d.resize(&file{path: k.Path, Entry: repo.Entry{Size: k.Size}, there: -1}); err != nil {
				return err
			}
		}
		if err := d.root.Chmod(k.Path, k.Mode.Perm()); err != nil {
			return writeError(k.Path, err)
		}
	}
	o.crash("undo pages")
	if err := syncTree(d.dir); err != nil {
		return writeError(d.dir, err)
	}
	for i, rel := range slices.Backward(j.Aside) {
		there := filepath.Join(j.dir, asideDir, strconv.Itoa(i))
		if _, err := os.Lstat(there); errors.Is(err, fs.ErrNotExist) {
			continue // it is back already
		}
		if err := d.root.RemoveAll(rel); err != nil {
			return writeError(rel, err)
		}
		if err := os.Rename(there, filepath.Join(d.dir, rel)); err != nil {
			return writeError(rel, err)
		}
	}
	o.crash("undo put back")
	return nil
}

// putBackPages writes the bytes that were kept.
func (j *journal) putBackPages(d folder) error {
	in, err := os.Open(filepath.Join(j.dir, pagesFile))
	if err != nil {
		return writeError(j.dir, err)
	}
	out := lastFile{to: d}
	files := map[uint32]*file{}
	err = readRecords(bufio.NewReaderSize(in, 1<<20), func(no uint32, at int64, data []byte) error {
		if int(no) >= len(j.Before) {
			return errRecord
		}
		if files[no] == nil {
			files[no] = &file{path: j.Before[no].Path}
		}
		return out.write(files[no], at, data)
	})
	return writeErrorOrNil(j.dir, errors.Join(err, out.close(), in.Close()))
}

var errRecord = errors.New("a record of what was kept is damaged")

// readRecords gives all records of the pages file to fn.
func readRecords(r io.Reader, fn func(no uint32, at int64, data []byte) error) error {
	buf := make([]byte, recordHead+repo.MaxFrame)
	for {
		if _, err := io.ReadFull(r, buf[:recordHead]); err == io.EOF {
			return nil
		} else if err != nil {
			return errors.Join(errRecord, err)
		}
		no, at, n, sum := binary.LittleEndian.Uint32(buf), binary.LittleEndian.Uint64(buf[4:]), binary.LittleEndian.Uint32(buf[12:]), binary.LittleEndian.Uint32(buf[16:])
		if n > repo.MaxFrame || at > 1<<62 {
			return errRecord
		}
		b := buf[:recordHead+int(n)]
		if _, err := io.ReadFull(r, b[recordHead:]); err != nil {
			return errors.Join(errRecord, err)
		}
		binary.LittleEndian.PutUint32(b[16:], 0)
		if crc32.Checksum(b, castagnoli) != sum {
			return errRecord
		}
		if err := fn(no, int64(at), b[recordHead:]); err != nil {
			return err
		}
	}
}
