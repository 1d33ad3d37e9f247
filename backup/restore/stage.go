package restore

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// Suffix is what the folder beside the target is called until it is proved.
const Suffix = ".unverified"

// marker tells a folder that a restore left behind from somebody's own, and what is being restored into it.
const marker = ".practicectl-restore"

// mark is the content of a marker.
type mark struct {
	Snapshot string   `json:"snapshot"` // key
	Paths    []string `json:"paths,omitempty"`
}

func (p *Plan) mark() mark { return mark{Snapshot: p.Key, Paths: p.Paths} }

// resumes tells whether an interrupted restore of the same plan lies beside the target.
func (p *Plan) resumes() bool {
	data, err := os.ReadFile(filepath.Join(p.Target+Suffix, marker))
	var m mark
	return err == nil && json.Unmarshal(data, &m) == nil && m.Snapshot == p.Key && slices.Equal(m.Paths, p.Paths)
}

// makeStage makes the folder beside the target. What an interrupted restore of the same plan left there is used: old is true
// then. What another one left is thrown away.
func (p *Plan) makeStage(ctx context.Context, own func(path string) error) (d folder, old bool, err error) {
	dir := p.Target + Suffix
	if _, err := os.Lstat(dir); err == nil {
		if !isOurs(dir) {
			return d, false, uerr.New(uerr.LossGuard, "restore into", p.Target, errors.New("the folder "+dir+" is in the way and is not ours"), "move it away")
		}
		// A restore that was killed while it proved its copy left the server running on it.
		if err := pgcluster.EndServer(ctx, filepath.Join(dir, dataDir)); err != nil {
			return d, false, err
		}
		if old = p.resumes(); !old {
			if err := discard(dir); err != nil {
				return d, false, err
			}
		}
	}
	if !old {
		if err := p.newStage(dir); err != nil {
			return d, false, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return d, old, writeError(dir, err)
	}
	d = folder{dir: dir, root: root, owner: own, made: map[string]bool{}}
	if err := errors.Join(d.own("."), d.own(marker)); err != nil {
		return d, old, errors.Join(err, root.Close())
	}
	if old {
		if err := d.tidy(p); err != nil {
			return d, old, errors.Join(err, root.Close())
		}
	}
	return d, old, nil
}

// isOurs tells whether a restore made the folder: its marker is there, or nothing is but what becomes the marker, since a restore
// may end before that is written.
func isOurs(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() == marker {
			return true
		}
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), "."+marker) })
}

// newStage makes an empty folder with a marker, which is there before anything else is.
func (p *Plan) newStage(dir string) error {
	text, err := json.Marshal(p.mark())
	if err != nil {
		return err
	}
	if err = os.MkdirAll(filepath.Dir(dir), 0o755); err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		err = atomicfile.WriteBytes(filepath.Join(dir, marker), 0o600, append(text, '\n'))
	}
	return writeErrorOrNil(dir, err)
}

// tidy removes from a folder that an interrupted restore left what the plan does not lay there itself, and what is of another
// kind: links that were made already, and what PostgreSQL wrote while the copy was proved. What stays can be written.
func (d folder) tidy(p *Plan) error {
	want := p.kinds()
	want[marker] = 0
	var walk func(rel string) error
	walk = func(rel string) error {
		if err := d.root.Chmod(rel, 0o700); err != nil {
			return err
		}
		entries, err := fs.ReadDir(d.root.FS(), filepath.ToSlash(rel))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(rel, e.Name())
			kind, ok := want[name]
			switch {
			case !ok || kind != e.Type() || kind&fs.ModeSymlink != 0:
				err = d.root.RemoveAll(name)
			case e.IsDir():
				err = walk(name)
			default:
				err = d.root.Chmod(name, 0o600)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return writeErrorOrNil(d.dir, walk("."))
}

// kinds is what the plan lays: the type bits of each path, with the folders above.
func (p *Plan) kinds() map[string]fs.FileMode {
	out := map[string]fs.FileMode{}
	above := func(path string) {
		for ; path != "." && out[path] == 0; path = filepath.Dir(path) {
			out[path] = fs.ModeDir
		}
	}
	for _, t := range p.trees {
		above(p.treeDir(t.name))
		for _, f := range t.files {
			above(filepath.Dir(f.path))
			out[f.path] = f.mode()
		}
	}
	return out
}

// swap puts the proved folder in place. The marker goes last: until the folder has its name, it says whose it is.
func (p *Plan) swap(stage string) error {
	const op = "put the restored copy in place at"
	if err := os.Remove(p.Target); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder, or it stays
		return uerr.New(uerr.LossGuard, op, p.Target, err, "the copy is in "+stage+"; move it yourself")
	}
	if err := atomicfile.Rename(stage, p.Target); err != nil {
		kind := uerr.Failed
		if diskspace.IsFull(err) {
			kind = uerr.NoSpace
		}
		return uerr.New(kind, op, p.Target, err, "the copy is in "+stage+"; move it yourself")
	}
	if err := os.Remove(filepath.Join(p.Target, marker)); err != nil {
		return uerr.New(uerr.Failed, "tidy the restored copy in", p.Target, err, "it is whole and in place: remove "+marker+" from it")
	}
	return p.linkTablespaces(p.Target)
}

// discard removes a folder that a restore made, and last what says that it did.
func discard(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != marker {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return uerr.New(uerr.Failed, "remove", dir, err, "remove it by hand")
	}
	return nil
}
