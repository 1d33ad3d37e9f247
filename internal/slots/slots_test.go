package slots

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"practicectl/internal/uerr"
)

func fillWith(content string) func(string) error {
	return func(dir string) error {
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			return err
		}
		return errors.Join(os.WriteFile(filepath.Join(dir, "bin", "a"), []byte(content), 0o750),
			os.WriteFile(filepath.Join(dir, "z"), []byte(content), 0o644))
	}
}

func stage(t *testing.T, s Slots, versions ...string) {
	t.Helper()
	for _, v := range versions {
		if err := s.Stage(context.Background(), v, fillWith(v)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStageThenSwitchInAFolderWithBlanksAndUmlauts(t *testing.T) {
	s := Slots{Dir: filepath.Join(t.TempDir(), "Praxis Müller & Söhne", "server")}
	if _, err := s.Current(); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("current of nothing: %v", err)
	}
	stage(t, s, "1.0.0", "1.1.0")
	for _, v := range []string{"1.0.0", "1.1.0", "1.0.0"} {
		if err := s.Switch(v); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Current(); got != v || err != nil {
			t.Errorf("current is %q, %v", got, err)
		}
		b, err := os.ReadFile(filepath.Join(s.CurrentPath(), "bin", "a"))
		if string(b) != v || err != nil {
			t.Errorf("live content is %q, %v", b, err)
		}
	}
	st, err := os.Stat(filepath.Join(s.Path("1.1.0"), "bin", "a"))
	if err != nil || st.Mode().Perm() != 0o750 {
		t.Errorf("mode: %v, %v", st.Mode(), err)
	}
}

func TestFailedStageLeavesNothingAndKeepsTheKind(t *testing.T) {
	s := Slots{Dir: t.TempDir()}
	stage(t, s, "1.0.0")
	tampered := uerr.New(uerr.Integrity, "unpack", "x", errors.New("wrong checksum"), "")
	err := s.Stage(context.Background(), "1.1.0", func(dir string) error { return errors.Join(fillWith("x")(dir), tampered) })
	if uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("kind %v: %v", uerr.KindOf(err), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = s.Stage(ctx, "1.2.0", func(dir string) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	entries, _ := os.ReadDir(s.Dir)
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := s.Switch("1.1.0"); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("switch to nothing: %v", err)
	}
}

func TestAStagedVersionIsNotFilledAgain(t *testing.T) {
	s := Slots{Dir: t.TempDir()}
	stage(t, s, "1.0.0")
	if err := s.Stage(context.Background(), "1.0.0", func(string) error { return errors.New("called") }); err != nil {
		t.Error(err)
	}
}

func TestVersionsSortByMeaningAndPruneKeepsTheNewestAndThePinned(t *testing.T) {
	s := Slots{Dir: t.TempDir()}
	stage(t, s, "1.10.0", "1.9.0", "1.2.0", "1.10.0-beta.2", "1.0.0", "1.11.0")
	want := []string{"1.0.0", "1.2.0", "1.9.0", "1.10.0-beta.2", "1.10.0", "1.11.0"}
	if got, err := s.Versions(); !slices.Equal(got, want) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if err := s.Prune(1); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("pruned without a current version: %v", err)
	}
	if err := errors.Join(s.Switch("1.11.0"), s.Prune(2, "1.0.0")); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Versions(); !slices.Equal(got, []string{"1.0.0", "1.10.0-beta.2", "1.10.0", "1.11.0"}) {
		t.Errorf("after pruning: %v", got)
	}
	if err := s.Remove("1.11.0"); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("removed the current version: %v", err)
	}
	if err := s.Remove("1.0.1"); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
}

func TestNamesThatWouldLeaveTheFolderAreRefused(t *testing.T) {
	s := Slots{Dir: filepath.Join(t.TempDir(), "c")}
	for _, v := range []string{"", "..", "../1.0.0", "1.0.0/x", "current", "1.0.0.unverified", "1..0", "1.0.0-", `1.0.0-\x`} {
		if err := s.Stage(context.Background(), v, fillWith("x")); uerr.KindOf(err) != uerr.Usage {
			t.Errorf("stage %q: %v", v, err)
		}
		if err := s.Remove(v); uerr.KindOf(err) != uerr.Usage {
			t.Errorf("remove %q: %v", v, err)
		}
		if err := s.Switch(v); uerr.KindOf(err) != uerr.NotFound {
			t.Errorf("switch to %q: %v", v, err)
		}
	}
}

func TestCurrentThatPointsNowhereIsReported(t *testing.T) {
	s := Slots{Dir: t.TempDir()}
	stage(t, s, "1.0.0")
	if err := errors.Join(s.Switch("1.0.0"), os.RemoveAll(s.Path("1.0.0"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Current(); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("got %v", err)
	}
	if err := s.Off(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Current(); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("got %v", err)
	}
}
