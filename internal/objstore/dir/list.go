package dir

import (
	"cmp"
	"context"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/internal/objstore"
)

func (s *store) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := objstore.CheckPrefix(prefix); err != nil {
			yield(objstore.Info{}, s.wrap("list", prefix, err))
			return
		}
		start := ""
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i]
		}
		s.walk(ctx, start, prefix, yield)
	}
}

// walk yields the objects below the folder at in byte order of their keys, and false when the caller has enough.
func (s *store) walk(ctx context.Context, at, prefix string, yield func(objstore.Info, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(objstore.Info{}, err)
		return false
	}
	entries, err := s.readDir(at)
	if missing(err) {
		return true
	}
	if err != nil {
		yield(objstore.Info{}, s.wrap("list", at, err))
		return false
	}
	for _, e := range entries {
		key := path.Join(at, e.Name())
		switch {
		case e.IsDir():
			if !strings.HasPrefix(key+"/", prefix) && !strings.HasPrefix(prefix, key+"/") {
				continue
			}
			if !s.walk(ctx, key, prefix, yield) {
				return false
			}
		case e.Type().IsRegular() && strings.HasPrefix(key, prefix):
			st, err := e.Info()
			if missing(err) {
				continue // deleted meanwhile
			}
			if err != nil {
				yield(objstore.Info{}, s.wrap("list", key, err))
				return false
			}
			if !yield(describe(key, st), nil) {
				return false
			}
		}
	}
	return true
}

// readDir returns the entries of a folder that can be keys, sorted as keys are: a folder counts as "name/".
func (s *store) readDir(at string) ([]fs.DirEntry, error) {
	f, err := s.root.Open(filepath.FromSlash(cmp.Or(at, ".")))
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return objstore.CheckKey(e.Name()) != nil })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	return entries, nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
