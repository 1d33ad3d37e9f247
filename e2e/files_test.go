package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// flip changes one bit in the middle of a file. The file may be named by a pattern that fits one file or more; the largest
// one is taken.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "flip FILE")
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	var name string
	var largest int64 = -1
	for _, n := range names {
		if info, err := os.Stat(n); err == nil && info.Mode().IsRegular() && info.Size() > largest {
			name, largest = n, info.Size()
		}
	}
	if name == "" {
		ts.Fatalf("no file fits %s", args[0])
	}
	data, err := os.ReadFile(name)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.Chmod(name, 0o644))
	ts.Check(os.WriteFile(name, data, 0o644))
	fmt.Fprintln(ts.Stdout(), name)
}

func holds(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, false, args, 2, "[!] holds DIR TEXT")
	files, found := 0, ""
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		in := []byte(d.Name())
		if d.Type().IsRegular() {
			files++
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			in = append(in, data...)
		}
		if bytes.Contains(in, []byte(args[1])) {
			found = path
		}
		return nil
	}))
	if files == 0 {
		ts.Fatalf("there is no file below %s", args[0])
	}
	if (found != "") == neg {
		ts.Fatalf("%q below %s: %q", args[1], args[0], found)
	}
}

// fingerprint hashes names, kinds and contents below all paths.
func fingerprint(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "fingerprint VAR PATH...")
	sum := sha256.New()
	for _, root := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(root), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s %s\n", path, d.Type())
			switch {
			case d.Type().IsRegular():
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(sum, "%d\n%s", len(data), data)
			case d.Type()&fs.ModeSymlink != 0:
				to, err := os.Readlink(path)
				if err != nil {
					return err
				}
				fmt.Fprintln(sum, to)
			}
			return nil
		}))
	}
	ts.Setenv(args[0], hex.EncodeToString(sum.Sum(nil)))
}
