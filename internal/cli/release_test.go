package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/release/trust"
)

// vendorRun is the command line in a folder of its own.
type vendorRun struct {
	t   *testing.T
	dir string
}

// run expects an exit code and returns stdout and stderr. @ in an argument stands for the folder.
func (v vendorRun) run(want int, line string) (out, errs string) {
	v.t.Helper()
	s, o, e := streams()
	args := strings.Fields(line)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "@", v.dir)
	}
	if got := Main(context.Background(), args, s); got != want {
		v.t.Fatalf("%s: exit %d, want %d\n%s%s", line, got, want, o, e)
	}
	return o.String(), e.String()
}

func (v vendorRun) write(name, content string) {
	v.t.Helper()
	path := filepath.Join(v.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		v.t.Fatal(err)
	}
}

func TestVendorStoryUnattended(t *testing.T) {
	v := vendorRun{t, filepath.Join(t.TempDir(), "größer")}
	v.write("pw", "open sesame\n")
	v.write("wrong", "let me in\n")
	v.write("dist/bin/practice-server", "program")
	v.write("notes", "Release notes.")
	for _, k := range []string{"a", "b", "c", "m1", "m2", "m3", "s", "t"} {
		out, _ := v.run(0, "release keygen --out @/"+k+" --passphrase-file @/pw --work 10 --json")
		var key map[string]string
		if err := json.Unmarshal([]byte(out), &key); err != nil || len(key["id"]) != 64 || len(strings.Fields(key["words"])) != 6 {
			t.Fatalf("keygen: %s, %v", out, err)
		}
	}
	v.run(14, "release keygen --out @/a --passphrase-file @/pw --work 10") // never over an existing key
	v.run(19, "release keygen --out @/z --work 10")                        // nobody can be asked
	v.run(14, "release ceremony init --stage @/draft --root @/a.pub --stable @/m1.pub,@/m2.pub --snapshot @/s.pub --timestamp @/t.pub")
	v.run(0, "release ceremony init --stage @/draft --root @/a.pub,@/b.pub,@/c.pub --stable @/m1.pub,@/m2.pub,@/m3.pub --snapshot @/s.pub --timestamp @/t.pub")
	for _, role := range []string{"root", "targets"} {
		v.run(12, "release ceremony sign @/draft/metadata/1."+role+".json --key @/a.key.age --passphrase-file @/wrong")
		v.run(12, "release ceremony sign @/draft/metadata/1."+role+".json --key @/m1.key.age --passphrase-file @/pw")
		v.run(0, "release ceremony sign @/draft/metadata/1."+role+".json --key @/a.key.age --passphrase-file @/pw")
		v.run(14, "release ceremony verify --stage @/draft")
		v.run(0, "release ceremony sign @/draft/metadata/1."+role+".json --key @/b.key.age --passphrase-file @/pw")
	}
	v.run(0, "release ceremony verify --stage @/draft")
	if out, _ := v.run(0, "release ceremony status --stage @/draft"); !strings.Contains(out, "2 of 2") {
		t.Error(out)
	}
	root, err := os.ReadFile(filepath.Join(v.dir, "draft", "metadata", "1.root.json"))
	if err != nil {
		t.Fatal(err)
	}
	v.write("root.json", string(root))
	v.run(64, "release build 1.0.0 --stage @/draft --repo @/repo --component server=@/none")
	v.run(0, "release build 1.0.0 --stage @/draft --repo @/repo --platform linux-amd64 --component server=@/dist --notes @/notes --fast --backward-compatible")
	publish := "release publish --stage @/draft --repo @/repo --snapshot-key @/s.key.age --timestamp-key @/t.key.age --passphrase-file @/pw"
	v.run(14, publish)
	v.run(0, "release sign --stage @/draft --repo @/repo --role stable --key @/m1.key.age,@/m3.key.age --passphrase-file @/pw")
	v.run(12, strings.Replace(publish, "@/s.key.age", "@/a.key.age", 1))
	v.run(0, publish+" -n")
	v.run(0, publish)
	v.run(0, publish+" --cron") // the daily renewal
	out, _ := v.run(0, "release verify @/repo --root @/root.json --json")
	var rep struct {
		Timestamp, Targets int
		Latest             map[string]string
	}
	if err := json.Unmarshal([]byte(out), &rep); err != nil || rep.Timestamp != 2 || rep.Targets != 1 || rep.Latest["stable"] != "1.0.0" {
		t.Errorf("verify: %s, %v", out, err)
	}
	v.run(13, "release verify @/repo") // the root in this program is another vendor's
}

func TestMirrorCommandsSayWhatIsWrong(t *testing.T) {
	v := vendorRun{t, t.TempDir()}
	v.run(10, "mirror status --dir @/m")
	v.run(10, "mirror sync --dir @/m")
	v.run(10, "mirror serve --dir @/m --listen 127.0.0.1:0")
	v.run(65, "mirror init --dir @/m")
	v.run(64, "mirror init --dir @/m --source @/repo --mode never")
	v.run(0, "mirror init --dir @/m --source @/repo -n")
	v.run(10, "mirror status --dir @/m")
	v.run(0, "mirror init --dir @/m --source @/repo --mode "+trust.AirGap)
	v.run(0, "mirror init --dir @/m --source @/repo --mode "+trust.AirGap)
	v.run(14, "mirror init --dir @/m --source @/other")
	if _, errs := v.run(15, "mirror sync --dir @/m"); !strings.Contains(errs, "fix:") {
		t.Error(errs)
	}
	v.write("repo/metadata/timestamp.json", "<html>log in first</html>")
	v.run(13, "mirror sync --dir @/m")
	out, _ := v.run(0, "mirror status --dir @/m --json")
	var st struct {
		Failed struct{ Kind string } `json:"last_failure"`
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Failed.Kind != "integrity" {
		t.Errorf("status: %s, %v", out, err)
	}
	v.run(0, "mirror status --dir @/m")
}
