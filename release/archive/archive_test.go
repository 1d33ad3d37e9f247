package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"practicectl/internal/uerr"
)

// tree is a component folder such as PostgreSQL's: links between libraries, an empty folder, names with umlauts.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"bin/postgres": "binary", "lib/libpq.so.5.18": strings.Repeat("library ", 5000), "share/Größe ü.txt": "text", "empty.conf": ""} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o640)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o700
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"lib/libpq.so.5": "libpq.so.5.18", "lib/libpq.so": "libpq.so.5", "bin/postmaster": "../bin/postgres", "share/lib": "../lib"} {
		if err := os.Symlink(to, filepath.Join(dir, filepath.FromSlash(link))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func pack(t testing.TB, dir string) (Manifest, []byte) {
	t.Helper()
	var out bytes.Buffer
	m, err := Pack(t.Context(), &out, Manifest{Name: "postgresql", Version: "18.4.0", OS: "linux", Arch: "amd64", Requires: []string{"b", "a"}}, os.DirFS(dir), Fast)
	if err != nil {
		t.Fatal(err)
	}
	return m, out.Bytes()
}

func TestSameFilesGiveTheSameBytes(t *testing.T) {
	a, b := tree(t), tree(t)
	if err := os.Chtimes(filepath.Join(b, "empty.conf"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(b, "lib", "libpq.so.5.18"), 0o604); err != nil {
		t.Fatal(err)
	}
	before := runtime.GOMAXPROCS(1)
	_, x := pack(t, a)
	runtime.GOMAXPROCS(before + 3)
	_, y := pack(t, b)
	runtime.GOMAXPROCS(before)
	if !bytes.Equal(x, y) {
		t.Fatal("the archives differ")
	}
	if err := os.Chmod(filepath.Join(b, "lib", "libpq.so.5.18"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, z := pack(t, b); bytes.Equal(x, z) {
		t.Error("an executable file is packed like any other")
	}
}

func TestUnpackGivesTheSameComponent(t *testing.T) {
	src := tree(t)
	want, data := pack(t, src)
	dir := filepath.Join(t.TempDir(), "a b", "ü")
	got, err := Unpack(t.Context(), bytes.NewReader(data), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Files) != len(want.Files) || got.Name != "postgresql" || got.Requires[0] != "a" {
		t.Errorf("manifest %+v", got)
	}
	if to, err := os.Readlink(filepath.Join(dir, "lib", "libpq.so")); err != nil || to != "libpq.so.5" {
		t.Errorf("link %q, %v", to, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "lib", "libpq.so")); err != nil || len(text) != 40000 {
		t.Errorf("through the links: %d bytes, %v", len(text), err)
	}
	for name, mode := range map[string]fs.FileMode{"bin/postgres": 0o755, "empty.conf": 0o644, "log": 0o755 | fs.ModeDir} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	if err := VerifyDir(dir); err != nil {
		t.Error(err)
	}
	if _, again := pack(t, withoutManifest(t, dir)); !bytes.Equal(again, data) {
		t.Error("packing what was unpacked gives other bytes")
	}
	if _, err := Unpack(t.Context(), bytes.NewReader(data), src); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("unpacked over other files: %v", err)
	}
}

func withoutManifest(t *testing.T, dir string) string {
	if err := os.Remove(filepath.Join(dir, ManifestName)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestVerifyDirNamesEveryDifference(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"other content":     func(d string) error { return os.WriteFile(filepath.Join(d, "bin/postgres"), []byte("BINARY"), 0o755) },
		"another size":      func(d string) error { return os.WriteFile(filepath.Join(d, "bin/postgres"), []byte("x"), 0o755) },
		"other permissions": func(d string) error { return os.Chmod(filepath.Join(d, "bin/postgres"), 0o644) },
		"missing":           func(d string) error { return os.Remove(filepath.Join(d, "empty.conf")) },
		"added":             func(d string) error { return os.WriteFile(filepath.Join(d, "bin/evil"), nil, 0o755) },
		"the same link": func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "lib/libpq.so")), os.Symlink("/etc/passwd", filepath.Join(d, "lib/libpq.so")))
		},
		"a regular file": func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "empty.conf")), os.Symlink("/dev/null", filepath.Join(d, "empty.conf")))
		},
	} {
		t.Run(what, func(t *testing.T) {
			_, data := pack(t, tree(t))
			dir := t.TempDir()
			if _, err := Unpack(t.Context(), bytes.NewReader(data), dir); err != nil {
				t.Fatal(err)
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if err := VerifyDir(dir); uerr.KindOf(err) != uerr.Integrity || !strings.Contains(err.Error(), what) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := VerifyDir(t.TempDir()); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("empty folder: %v", err)
	}
}

func TestWhatCannotBeUnpackedSafelyIsNotPacked(t *testing.T) {
	for what, spoil := range map[string]func(dir string) error{
		"link out of the component": func(d string) error { return os.Symlink("../../etc/passwd", filepath.Join(d, "lib", "x")) },
		"absolute link":             func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "x")) },
		"own component.json":        func(d string) error { return os.WriteFile(filepath.Join(d, ManifestName), nil, 0o644) },
		"names that differ in case": func(d string) error { return os.WriteFile(filepath.Join(d, "EMPTY.conf"), nil, 0o644) },
		"device name of Windows":    func(d string) error { return os.WriteFile(filepath.Join(d, "nul.txt"), nil, 0o644) },
		"backslash":                 func(d string) error { return os.WriteFile(filepath.Join(d, `a\b`), nil, 0o644) },
		"socket": func(d string) error {
			l, err := net.Listen("unix", filepath.Join(d, "s"))
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			return err
		},
	} {
		dir := tree(t)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Pack(t.Context(), &bytes.Buffer{}, Manifest{Name: "server", Version: "1.0.0", OS: "any", Arch: "any"}, os.DirFS(dir), Fast); err == nil {
			t.Errorf("%s: packed", what)
		}
	}
}

// forge makes an archive by hand.
func forge(t testing.TB, manifest string, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	entries = append([]tar.Header{{Name: ManifestName, Size: int64(len(manifest))}}, entries...)
	for i, h := range entries {
		content := strings.Repeat("x", int(h.Size))
		if i == 0 {
			content = manifest
		}
		h.Mode, h.Format = 0o644, tar.FormatPAX
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func listing(files string) string {
	return `{"schema":1,"name":"server","version":"1.0.0","os":"any","arch":"any","files":[` + files + `]}`
}

func entry(path string) string {
	sum := sha256.Sum256([]byte("x"))
	return `{"path":"` + path + `","sha256":"` + hex.EncodeToString(sum[:]) + `","mode":"0644","size":1}`
}

func TestHostileArchivesWriteNothingOutside(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Name: name, Size: 1} }
	for what, data := range map[string][]byte{
		"parent folder":              forge(t, listing(entry("../evil")), file("../evil")),
		"parent folder inside":       forge(t, listing(entry("a/../../evil")), file("a/../../evil")),
		"absolute name":              forge(t, listing(entry("/tmp/evil")), file("/tmp/evil")),
		"through a link":             forge(t, listing(`{"path":"a","link":".."},`+entry("a/evil")), tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: ".."}, file("a/evil")),
		"link out":                   forge(t, listing(`{"path":"a","link":"../../x"}`), tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "../../x"}),
		"link out through a link":    forge(t, listing(`{"path":"a/b/c","link":"../.."},{"path":"z","link":"a/b/c/../.."}`), tar.Header{Name: "a/b/c", Typeflag: tar.TypeSymlink, Linkname: "../.."}, tar.Header{Name: "z", Typeflag: tar.TypeSymlink, Linkname: "a/b/c/../.."}),
		"link to an absolute path":   forge(t, listing(`{"path":"a","link":"/etc"}`), tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc"}),
		"other link than listed":     forge(t, listing(`{"path":"a","link":"b"}`), tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "../../etc"}),
		"hard link":                  forge(t, listing(entry("a")), tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}),
		"device":                     forge(t, listing(entry("a")), tar.Header{Name: "a", Typeflag: tar.TypeChar}),
		"entry that is not listed":   forge(t, listing(entry("a")), file("a"), file("b")),
		"listed entry missing":       forge(t, listing(entry("a")+","+entry("b")), file("a")),
		"other order":                forge(t, listing(entry("a")+","+entry("b")), file("b"), file("a")),
		"listed twice":               forge(t, listing(entry("a")+","+entry("a")), file("a"), file("a")),
		"listed twice but for case":  forge(t, listing(entry("A")+","+entry("a")), file("A"), file("a")),
		"below a file":               forge(t, listing(entry("a")+","+entry("a/b")), file("a"), file("a/b")),
		"longer than listed":         forge(t, listing(entry("a")), tar.Header{Name: "a", Size: 2}),
		"wrong hash":                 forge(t, listing(strings.Replace(entry("a"), `"2`, `"3`, 1)), file("a")),
		"set-uid mode":               forge(t, listing(strings.Replace(entry("a"), "0644", "4755", 1)), file("a")),
		"negative size":              forge(t, listing(strings.Replace(entry("a"), `"size":1`, `"size":-1`, 1)), file("a")),
		"more bytes than any disk":   forge(t, listing(strings.Replace(entry("a"), `"size":1`, `"size":9000000000000000000`, 1)), file("a")),
		"newer format":               forge(t, strings.Replace(listing(entry("a")), `"schema":1`, `"schema":9`, 1), file("a")),
		"not zstd":                   []byte("hello"),
		"empty":                      nil,
		"data after the end":         append(forge(t, listing(entry("a")), file("a")), forge(t, strings.Repeat("y", 100_000))...),
		"manifest replaces manifest": forge(t, listing(entry("component.json")), file("component.json")),
	} {
		t.Run(what, func(t *testing.T) {
			outer := t.TempDir()
			dir := filepath.Join(outer, "in", "here")
			if _, err := Unpack(t.Context(), bytes.NewReader(data), dir); uerr.KindOf(err) != uerr.Integrity {
				t.Errorf("got %v", err)
			}
			onlyInside(t, outer, dir)
		})
	}
}

func onlyInside(t testing.TB, outer, dir string) {
	t.Helper()
	err := filepath.WalkDir(outer, func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() && !strings.HasPrefix(name, dir+string(filepath.Separator)) {
			t.Errorf("%s was written", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A small archive must not unpack into a large one: every byte is listed, and the list is bounded.
func TestDecompressionBombIsCutOff(t *testing.T) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: ManifestName, Typeflag: tar.TypeReg, Size: maxManifest + 1, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for n := 0; n <= maxManifest; n += len(zeros) {
		if _, err := w.Write(zeros[:min(len(zeros), maxManifest+1-n)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(t.Context(), &out, t.TempDir()); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("got %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	file := tar.Header{Name: "a", Size: 1}
	f.Add(forge(f, listing(entry("a")), file))
	f.Add(forge(f, listing(`{"path":"a","link":"b"}`), tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}))
	f.Add(forge(f, listing(entry("../a")), tar.Header{Name: "../a", Size: 1}))
	f.Add([]byte("(\xb5/\xfd\x04\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in", "here")
		_, err := Unpack(t.Context(), bytes.NewReader(data), dir)
		onlyInside(t, outer, dir)
		if err == nil {
			if err := VerifyDir(dir); err != nil {
				t.Errorf("unpacked, yet: %v", err)
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(listing(entry("a"))))
	f.Add([]byte(listing(`{"path":"a","link":"../b"}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		for _, e := range m.Files {
			if !filepath.IsLocal(filepath.FromSlash(e.Path)) || e.Link != "" && !filepath.IsLocal(filepath.Join(filepath.Dir(e.Path), e.Link)) {
				t.Errorf("accepted %+v", e)
			}
		}
	})
}
