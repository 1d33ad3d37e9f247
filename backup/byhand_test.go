package backup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/testenv"
)

// ageProgram is the installed age program.
func ageProgram(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("age")
	if err != nil {
		t.Fatal("age is missing: apt-get install age")
	}
	return path
}

// newAge is an age program that knows post-quantum keys, built once when it is missing.
func newAge(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("../scripts/tool", "age").Output()
	if err != nil {
		t.Fatalf("scripts/tool age: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// restoreByHand runs the script of docs/formats with an age program and an identity file.
func restoreByHand(t testing.TB, age, folder, snapshot, identity, target string) {
	t.Helper()
	for _, tool := range []string{"zstd", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: apt-get install %s", tool, tool)
		}
	}
	cmd := exec.Command("python3", "../docs/formats/restore-by-hand.py", folder, snapshot, identity, target)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(age)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// identityFile writes the text of an identity as a file that the age program takes.
func identityFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestO5_RestoreByHandWithAgeAndZstd follows docs/formats/backup.md with the script beside it, which uses nothing of ours.
func TestO5_RestoreByHandWithAgeAndZstd(t *testing.T) {
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

	target := restoreFolder(t, c)
	restoreByHand(t, ageProgram(t), folder, rep.Key, identityFile(t, g.secret(0)), target)
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
