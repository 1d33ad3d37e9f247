package pgcluster_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

// tarball is the verified npm package of this machine.
func tarball(t *testing.T) string {
	t.Helper()
	tgz, err := pgcluster.BundleTarball(t.Context(), pgcluster.DevelopmentOptions{Cache: testenv.ToolsDir(), Dist: os.Getenv("PRACTICE_PG_DIST")})
	if err != nil {
		t.Fatal(err, uerr.HintOf(err))
	}
	return tgz
}

func TestO1_BundleRunsFromAnyPath(t *testing.T) {
	tgz := tarball(t)
	cache, err := os.MkdirTemp("/tmp", "pgbundle ü ")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(cache) })
	if err := os.Chmod(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	bin, err := pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{Dist: tgz, Cache: cache, Major: 18})
	if err != nil || bin.Major != 18 || !strings.HasPrefix(bin.Dir, cache) {
		t.Fatalf("%+v, %v", bin, err)
	}
	links := 0
	err = filepath.WalkDir(filepath.Dir(bin.Dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			links++
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s leads nowhere", path)
			}
		}
		return err
	})
	if err != nil || links != 14 {
		t.Errorf("%d of 14 links, %v", links, err)
	}
	c := testenv.PGStopped(t, 18)
	c.Bin = bin
	if err := c.Init(t.Context(), pgcluster.InitOptions{UnsafeNoSync: true}); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{Cache: cache})
	if err != nil || again != bin {
		t.Errorf("from the cache: %+v, %v", again, err)
	}
	byDir, err := pgcluster.Find(t.Context(), pgcluster.ProviderBundled, filepath.Dir(bin.Dir))
	if err != nil || byDir != bin {
		t.Errorf("by its folder: %+v, %v", byDir, err)
	}
	if _, err := pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{BinDir: bin.Dir, Major: 15}); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("wrong major: %v", err)
	}
}

func TestWithoutNPMTheInstalledPostgreSQLIsTaken(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	b, err := pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{Cache: t.TempDir()})
	if err != nil || b.Major < pgcluster.MinMajor {
		t.Errorf("%+v, %v", b, err)
	}
	if b.Major == pgcluster.BundleMajor {
		return // this machine has the bundle's major installed
	}
	_, err = pgcluster.FindForDevelopment(t.Context(), pgcluster.DevelopmentOptions{Cache: t.TempDir(), Major: pgcluster.BundleMajor})
	if uerr.KindOf(err) != uerr.Precond || !strings.Contains(err.Error(), "npm is not installed") || !strings.Contains(uerr.HintOf(err), pgcluster.AptLine) {
		t.Errorf("got %v, hint %q", err, uerr.HintOf(err))
	}
}

func TestTamperedBundleIsRefused(t *testing.T) {
	raw, err := os.ReadFile(tarball(t))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	cache := t.TempDir()
	bad := filepath.Join(cache, "pg-"+pgcluster.BundleVersion+".tgz")
	if err := os.WriteFile(bad, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]pgcluster.DevelopmentOptions{"in the cache": {Cache: cache}, "given": {Cache: t.TempDir(), Dist: bad}} {
		if _, err := pgcluster.FindForDevelopment(t.Context(), o); uerr.KindOf(err) != uerr.Integrity || uerr.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := pgcluster.UnpackBundle(t.Context(), bad, filepath.Join(cache, "pg")); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("unpack: %v", err)
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) > 2 {
		t.Errorf("something was left behind: %v, %v", entries, err)
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	file := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: 2}
	}
	ok := file("package/native/bin/postgres")
	for name, entries := range map[string][]tar.Header{
		"leaves the folder":   {ok, file("package/native/../../../evil")},
		"symbolic link":       {ok, {Name: "package/native/lib", Typeflag: tar.TypeSymlink, Linkname: "/etc"}},
		"device":              {ok, {Name: "package/native/dev", Typeflag: tar.TypeChar}},
		"no PostgreSQL in it": {file("package/readme")},
		"bad link list":       {ok, file("package/native/pg-symlinks.json")},
	} {
		dir := t.TempDir()
		tgz, dst := filepath.Join(dir, "x.tgz"), filepath.Join(dir, "in", "pg")
		if err := os.WriteFile(tgz, archive(t, entries), 0o644); err != nil {
			t.Fatal(err)
		}
		err := pgcluster.UnpackBundle(t.Context(), tgz, dst)
		if name == "leaves the folder" && err == nil { // the entry is outside of package/native and so not taken
			if _, err := os.Stat(filepath.Join(dir, "evil")); err == nil {
				t.Error("a file was written outside of the folder")
			}
			continue
		}
		if uerr.KindOf(err) != uerr.Integrity {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(dst); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was left behind", name)
		}
	}
	if err := pgcluster.UnpackBundle(t.Context(), "/nonexistent.tgz", filepath.Join(t.TempDir(), "pg")); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("missing file: %v", err)
	}
}

func archive(t *testing.T, entries []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	w := tar.NewWriter(gz)
	for _, h := range entries {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("#!")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
