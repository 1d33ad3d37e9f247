package backup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"practicectl/internal/testenv"
)

// ageProgram is the age command line program: the installed one, or one built from the module that we link.
func ageProgram(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("age"); err == nil {
		return path
	}
	path := filepath.Join(t.TempDir(), "age")
	if out, err := exec.Command("go", "build", "-o", path, "filippo.io/age/cmd/age").CombinedOutput(); err != nil {
		t.Fatalf("age is missing (apt-get install age) and cannot be built: %v\n%s", err, out)
	}
	return path
}

// TestO5_RestoreByHandWithAgeAndZstd follows docs/formats/backup.md with the script beside it, which uses nothing of ours.
func TestO5_RestoreByHandWithAgeAndZstd(t *testing.T) {
	for _, tool := range []string{"zstd", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: apt-get install %s", tool, tool)
		}
	}
	age := ageProgram(t)
	c := testenv.PG(t, 15, testenv.Bootstrapped)
	conn := connect(t, c)
	fill(t, conn, 3000)
	st, folder := dirStore(t)
	g := newRig(t, st)
	etc := writeFiles(t, 3)
	g.run(source(c, etc))
	execSQL(t, conn, `UPDATE account SET note = 'zweite Sicherung' WHERE id % 3 = 0`)
	rep := g.run(source(c, etc))
	want := dump(t, conn)

	identity := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(identity, []byte(g.secret(0)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	target := restoreFolder(t, c)
	cmd := exec.Command("python3", "../docs/formats/restore-by-hand.py", folder, rep.Key, identity, target)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(age)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if give := own(c); give != nil {
		err := filepath.WalkDir(target, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return give(path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.Join(target, "files", etc, "groß/bild.bin"))
	orig, _ := os.ReadFile(filepath.Join(etc, "groß/bild.bin"))
	if err != nil || string(got) != string(orig) {
		t.Errorf("a file differs: %v", err)
	}
	copied := connect(t, startCopy(t, c, filepath.Join(target, "pg")))
	sameRows(t, want, dump(t, copied))
	checkIndexes(t, copied)
}
