// Package filesource finds the files and folders beside the database that a snapshot also saves: the configuration and
// what an administrator names.
package filesource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/backup/intake"
	"practicectl/backup/repo"
	"practicectl/internal/uerr"
)

// Walk lists everything below the given absolute paths. In the snapshot a path keeps its place: "/etc/practice/main" is
// saved as "etc/practice/main". Sockets, pipes and devices are left out. A path that does not exist is an error of kind
// NotFound: what was asked for and cannot be saved must not go unnoticed.
func Walk(paths []string) ([]intake.File, error) {
	var out []intake.File
	seen := map[string]bool{}
	for _, root := range paths {
		root, err := filepath.Abs(root)
		if err != nil {
			return nil, uerr.New(uerr.Usage, "save", root, err, "")
		}
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return problem(root, path, err)
			}
			if seen[path] {
				return nil
			}
			seen[path] = true
			f, ok, err := file(path, d)
			if err != nil {
				return problem(root, path, err)
			}
			if ok {
				out = append(out, f)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b intake.File) int { return strings.Compare(a.Entry.Path, b.Entry.Path) })
	return out, nil
}

func file(path string, d fs.DirEntry) (intake.File, bool, error) {
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return intake.File{}, false, nil
	}
	if err != nil {
		return intake.File{}, false, err
	}
	f := intake.File{Local: path, MayVanish: true, Cut: true, Entry: repo.Entry{
		Path: name(path), Kind: repo.File, Mode: uint32(info.Mode().Perm()), Size: info.Size(), MTime: info.ModTime().Unix(),
	}}
	switch {
	case info.IsDir():
		f.Entry.Kind, f.Entry.Size = repo.Dir, 0
	case info.Mode()&fs.ModeSymlink != 0:
		f.Entry.Kind, f.Entry.Size, f.Entry.MTime = repo.Link, 0, 0
		f.Entry.Target, err = os.Readlink(path)
	case !info.Mode().IsRegular():
		return f, false, nil
	}
	return f, f.Entry.Path != "", err
}

// name is the path of a file within the tree.
func name(path string) string {
	volume := filepath.VolumeName(path)
	rest := strings.Trim(filepath.ToSlash(path[len(volume):]), "/")
	if volume = strings.Trim(strings.ReplaceAll(filepath.ToSlash(volume), ":", ""), "/"); volume != "" {
		rest = volume + "/" + rest
	}
	return rest
}

func problem(root, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && path == root:
		return uerr.New(uerr.NotFound, "save", root, errors.New("there is no such file or folder"), "take it out of backup.paths in practice.toml, or make it")
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return uerr.New(uerr.Failed, "save", path, err, "run the command as the account that owns these files")
	}
	return uerr.New(uerr.Failed, "save", path, err, "")
}
