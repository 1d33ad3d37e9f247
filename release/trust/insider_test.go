package trust_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
	"practicectl/release/trust"
)

// What every needed person signed is still refused when it could hurt a client.
func TestSignedMistakesAreRefused(t *testing.T) {
	one := func(s *metadata.TargetsType) (string, *metadata.TargetFiles) {
		for path, f := range s.Targets {
			if strings.HasSuffix(path, ".zst") {
				return path, f
			}
		}
		t.Fatal("no target")
		return "", nil
	}
	name := func(path string) func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) {
		return func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) { _, s.Targets[path] = one(s) }
	}
	for what, edit := range map[string]func(s, top *metadata.TargetsType, ts *metadata.TimestampType){
		"name leaves the folder":      name("stable/../../../etc/passwd"),
		"name is only dots":           name("stable/.."),
		"name with a backslash":       name(`stable/..\..\evil`),
		"name with a drive":           name("stable/C:/evil"),
		"name is a device":            name("stable/server/1.0.0/any/con.tar.zst"),
		"name of another channel":     name("beta/server/1.0.0/any/server.tar.zst"),
		"name says another component": name("stable/relay/1.0.0/any/relay.tar.zst"),
		"name says another version":   name("stable/server/2.0.0/any/server.tar.zst"),
		"absolute name":               name("/etc/passwd"),
		"two hashes (the stored name would be random)": func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) {
			_, f := one(s)
			f.Hashes["sha512"] = make([]byte, 64)
		},
		"no hash":        func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) { _, f := one(s); f.Hashes = nil },
		"no description": func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) { _, f := one(s); f.Custom = nil },
		"channel delegates further": func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) {
			s.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}, Roles: []metadata.DelegatedRole{{Name: "deps", KeyIDs: []string{"x"}, Threshold: 1, Paths: []string{"deps/*"}}}}
		},
		"top level holds files": func(s, top *metadata.TargetsType, _ *metadata.TimestampType) {
			path, f := one(s)
			top.Targets[path] = f
		},
		"index missing":    func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) { delete(s.Targets, "stable/index.json") },
		"x-issued missing": func(_, _ *metadata.TargetsType, ts *metadata.TimestampType) { ts.UnrecognizedFields = nil },
		"x-issued after the signature's end": func(_, _ *metadata.TargetsType, ts *metadata.TimestampType) {
			ts.UnrecognizedFields["x-issued"] = "2099-01-01T00:00:00Z"
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := testenv.NewReleases(t)
			r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
			insider(t, r, edit)
			if _, err := r.Client(t, "", nil).Refresh(t.Context()); uerr.KindOf(err) != uerr.Integrity {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestIndexOfAnotherChannelIsRefused(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Beta, "2.0.0-beta.1", big(release.Server, "b", 1000))
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	beta, _ := filepath.Glob(filepath.Join(r.Dir, "targets", "beta", "*.index.json"))
	data := read(t, beta[0])
	sum := filepath.Base(beta[0])[:64]
	if err := os.WriteFile(filepath.Join(r.Dir, "targets", "stable", sum+".index.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	insider(t, r, func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) {
		f, err := metadata.TargetFile().FromBytes("stable/index.json", data, "sha256")
		if err != nil {
			t.Fatal(err)
		}
		s.Targets["stable/index.json"] = f
	})
	_, err := r.Client(t, "", nil).Refresh(t.Context())
	if uerr.KindOf(err) != uerr.Integrity || !strings.Contains(err.Error(), "index of") {
		t.Fatalf("got %v", err)
	}
}

func TestNewerFormatAsksForANewerProgram(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	insider(t, r, func(s, _ *metadata.TargetsType, _ *metadata.TimestampType) {
		data := []byte(`{"schema":99,"channel":"stable"}`)
		f, err := metadata.TargetFile().FromBytes("stable/index.json", data, "sha256")
		if err != nil {
			t.Fatal(err)
		}
		s.Targets["stable/index.json"] = f
		path := filepath.Join(r.Dir, "targets", "stable", hexOf(f)+".index.json")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := r.Client(t, "", nil).Refresh(t.Context()); uerr.KindOf(err) != uerr.Precond {
		t.Fatalf("got %v", err)
	}
}

func hexOf(f *metadata.TargetFiles) string {
	text, err := json.Marshal(f.Hashes["sha256"])
	if err != nil {
		return ""
	}
	return strings.Trim(string(text), `"`)
}

// A client asks its own channel and deps, and needs neither the others' metadata nor their keys.
func TestChannelWithoutReleaseSaysSo(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	c := r.Client(t, "", func(o *trust.Options) { o.Channel = release.LTS })
	if _, err := c.Refresh(t.Context()); uerr.KindOf(err) != uerr.NotFound {
		t.Fatalf("got %v", err)
	}
}

func TestOneSignatureOfTwoIsRefused(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	r.Ring[release.Stable] = []*publish.Key{r.Ring[release.Stable][0], r.Ring[release.Stable][0]} // one person signs twice
	r.Ring[publish.Targets] = r.Ring[publish.Targets][:2]
	insider(t, r, func(_, _ *metadata.TargetsType, _ *metadata.TimestampType) {})
	if _, err := r.Client(t, "", nil).Refresh(t.Context()); uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("got %v", err)
	}
}

func TestNewestOnlineKeysCannotSignReleases(t *testing.T) {
	r := testenv.NewReleases(t)
	r.Release(t, release.Stable, "1.0.0", big(release.Server, "a", 1000))
	r.Ring[release.Stable] = []*publish.Key{r.Ring[publish.Snapshot][0], r.Ring[publish.Timestamp][0]} // the publish host is stolen
	insider(t, r, func(_, _ *metadata.TargetsType, _ *metadata.TimestampType) {})
	if _, err := r.Client(t, "", nil).Refresh(t.Context()); uerr.KindOf(err) != uerr.Integrity {
		t.Fatalf("got %v", err)
	}
}
