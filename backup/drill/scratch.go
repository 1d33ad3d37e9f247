package drill

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"practicectl/internal/atomicfile"
	"practicectl/internal/lockfile"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// A scratch instance lies in two private folders: one for the copy and a short one for its socket. Before they are made, a note
// in the drill's own state says where; each holds a marker that this host signed for exactly this path. What a killed drill left
// is found by its note and removed only when the marker proves that it is ours, wherever it was put.

// marker is the file that proves a folder to be a scratch folder of this host.
const marker = ".practicectl-drill"

// scratch is a scratch instance on this machine.
type scratch struct {
	Dir     string `json:"dir"`
	Sockets string `json:"sockets"`

	note string
	key  ed25519.PrivateKey
	lock *lockfile.Lock
}

func markerText(path string) []byte { return []byte("practicectl drill scratch v1\n" + path + "\n") }

// newScratch makes the folders below parent. Own gives them to the account that will work in them; nil: the caller's.
func newScratch(ctx context.Context, state, parent string, key ed25519.PrivateKey, own func(string) error) (*scratch, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	name := "practicectl-drill-" + hex.EncodeToString(id[:])
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	s := &scratch{Dir: filepath.Join(parent, name), Sockets: filepath.Join(os.TempDir(), name+"-s"), note: filepath.Join(state, notes, name+".json"), key: key}
	note, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, folderError(parent, err)
	}
	if err := os.MkdirAll(filepath.Dir(s.note), 0o750); err != nil {
		return nil, folderError(s.note, err)
	}
	if err := atomicfile.WriteBytes(s.note, 0o640, append(note, '\n')); err != nil {
		return nil, folderError(s.note, err)
	}
	for _, dir := range []string{s.Dir, s.Sockets} {
		if err := makePrivate(dir, key, own); err != nil {
			return nil, errors.Join(folderError(dir, err), s.remove(ctx))
		}
	}
	if _, s.lock, err = lockfile.Acquire(ctx, s.lockPath(), "drill run", 0); err != nil {
		return nil, errors.Join(err, s.remove(ctx))
	}
	return s, nil
}

func makePrivate(dir string, key ed25519.PrivateKey, own func(string) error) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	text := append(markerText(dir), hex.EncodeToString(ed25519.Sign(key, markerText(dir)))...)
	if err := atomicfile.WriteBytes(filepath.Join(dir, marker), 0o600, append(text, '\n')); err != nil {
		return err
	}
	if own == nil {
		return nil
	}
	return own(dir)
}

// ours tells whether dir is a scratch folder of the holder of key.
func ours(dir string, key ed25519.PrivateKey) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	text, err := os.ReadFile(filepath.Join(dir, marker))
	if err != nil {
		return false
	}
	sig, ok := strings.CutPrefix(string(text), string(markerText(dir)))
	raw, err := hex.DecodeString(strings.TrimSuffix(sig, "\n"))
	return ok && err == nil && ed25519.Verify(ed25519.PublicKey(key[ed25519.SeedSize:]), markerText(dir), raw)
}

// removeBegun removes a folder that holds nothing, or only what was to become its marker when the drill was killed.
func removeBegun(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "."+marker) {
			return fs.ErrExist
		}
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}

func (s *scratch) lockPath() string { return filepath.Join(s.Dir, "lock") }
func (s *scratch) target() string   { return filepath.Join(s.Dir, "copy") }
func (s *scratch) data() string     { return filepath.Join(s.target(), "pg") }

// remove ends whatever runs in the scratch instance and removes it; the note goes last.
func (s *scratch) remove(ctx context.Context) error {
	if err := s.end(ctx); err != nil {
		return err
	}
	if s.lock != nil {
		if err := s.lock.Release(); err != nil {
			return err
		}
		s.lock = nil
	}
	for _, dir := range []string{s.Dir, s.Sockets} {
		if err := removeOurs(dir, s.key); err != nil {
			return uerr.New(uerr.Failed, "remove the scratch instance in", dir, err, "the next drill tries it again; or remove it by hand")
		}
	}
	if err := os.Remove(s.note); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folderError(s.note, err)
	}
	return nil
}

// removeOurs removes a folder that is ours, or an empty one: the marker is the first thing in it, and the last to go.
func removeOurs(dir string, key ed25519.PrivateKey) error {
	if !ours(dir, key) {
		err := removeBegun(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return errors.New("it does not prove to be ours, and is left alone")
		}
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == marker {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(dir, marker)); err != nil {
		return err
	}
	return os.Remove(dir)
}

// end stops a server of the scratch instance.
func (s *scratch) end(ctx context.Context) error {
	if !ours(s.Sockets, s.key) {
		return nil
	}
	return pgcluster.EndServerAt(ctx, filepath.Join(s.Sockets, ".s.PGSQL."+strconv.Itoa(pgcluster.DefaultPort)))
}

const notes = "scratch"

// sweep removes what killed drills of this host left, and tells how many it removed. What is in use by another drill, or does
// not prove to be ours, stays; warn says so.
func sweep(ctx context.Context, state string, key ed25519.PrivateKey, warn func(format string, args ...any)) (int, error) {
	entries, err := os.ReadDir(filepath.Join(state, notes))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		s := &scratch{note: filepath.Join(state, notes, e.Name()), key: key}
		raw, err := os.ReadFile(s.note)
		if err != nil {
			return n, err
		}
		if json.Unmarshal(raw, s) != nil || s.Dir == "" || s.Sockets == "" {
			warn("%s is no note of a drill; it is left alone", s.note)
			continue
		}
		if ours(s.Dir, key) {
			if _, s.lock, err = lockfile.Acquire(ctx, s.lockPath(), "drill run", 0); uerr.KindOf(err) == uerr.Locked {
				continue
			} else if err != nil {
				return n, err
			}
		}
		if err := s.remove(ctx); err != nil {
			warn("%v", err)
			continue
		}
		n++
	}
	return n, nil
}

func folderError(path string, err error) error {
	if err == nil {
		return nil
	}
	return uerr.New(kindOfFile(err), "make the scratch folder", path, err, "name another place with --dir")
}
