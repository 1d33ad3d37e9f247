package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"practicectl/internal/uerr"
)

// maxProblems is how many differences VerifyDir names.
const maxProblems = 10

// VerifyDir compares an unpacked component with its component.json: content, links, executable bits, and that nothing
// was added. Error kinds: NotFound, Integrity naming up to ten differences, Failed when a file cannot be read.
func VerifyDir(dir string) error {
	m, err := ReadManifest(dir)
	if err != nil {
		return err
	}
	want := make(map[string]File, len(m.Files))
	for _, f := range m.Files {
		want[f.Path] = f
	}
	var problems []error
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(dir, name)
		if err != nil || relErr != nil {
			return errors.Join(err, relErr)
		}
		rel = filepath.ToSlash(rel)
		f, listed := want[rel]
		delete(want, rel)
		switch {
		case rel == ManifestName, d.IsDir() && !listed:
			return nil
		case !listed:
			problems = append(problems, fmt.Errorf("%s was added", rel))
			return nil
		}
		differs, err := compare(name, d, f)
		if differs != "" {
			problems = append(problems, fmt.Errorf("%s %s", rel, differs))
		}
		return err
	})
	if err != nil {
		return uerr.New(uerr.Failed, "verify the component in", dir, err, "")
	}
	for _, f := range m.Files {
		if _, missing := want[f.Path]; missing {
			problems = append(problems, fmt.Errorf("%s is missing", f.Path))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	if n := len(problems); n > maxProblems {
		problems = append(problems[:maxProblems], fmt.Errorf("and %d more", n-maxProblems))
	}
	return uerr.New(uerr.Integrity, "verify the component in", dir, errors.Join(problems...), "practicectl component list")
}

func compare(name string, d fs.DirEntry, f File) (differs string, err error) {
	switch {
	case f.Dir:
		if !d.IsDir() {
			return "is not a folder any more", nil
		}
		return "", nil
	case f.Link != "":
		to, err := os.Readlink(name)
		if d.Type()&fs.ModeSymlink == 0 || err != nil || filepath.ToSlash(to) != f.Link {
			return "is not the same link any more", nil
		}
		return "", nil
	case !d.Type().IsRegular():
		return "is not a regular file any more", nil
	}
	r, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	st, err := r.Stat()
	if err != nil {
		return "", err
	}
	if st.Size() != f.Size {
		return "has another size", nil
	}
	if runtime.GOOS != "windows" && (st.Mode()&0o100 != 0) != (f.Mode == "0755") {
		return "has other permissions", nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	if hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return "has other content", nil
	}
	return "", nil
}
