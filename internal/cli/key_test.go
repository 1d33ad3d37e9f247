package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"practicectl/internal/sealed"
	"practicectl/internal/secret"
)

func TestO4_KeyGenerateWritesAnIdentityThatOpens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Schlüssel der Praxis")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path, phrase := filepath.Join(dir, "owner.key"), filepath.Join(dir, "phrase")
	if err := os.WriteFile(phrase, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		pass string
	}{"plain": {}, "protected": {[]string{"--passphrase-file", phrase}, "correct horse"}, "pq": {[]string{"--post-quantum"}, ""}} {
		out := path + name
		s, stdout, stderr := streams()
		if code := Main(context.Background(), append([]string{"key", "generate", "--prefix", t.TempDir(), "--out", out, "--json"}, c.args...), s); code != 0 {
			t.Fatalf("%s: exit %d: %s", name, code, stderr)
		}
		var made keyMade
		if err := json.Unmarshal(stdout.Bytes(), &made); err != nil {
			t.Fatalf("%s: %v in %s", name, err, stdout)
		}
		ids, err := sealed.LoadIdentities(out, sealed.Ask{Passphrase: func() (secret.Text, error) { return secret.New(c.pass), nil }})
		if err != nil {
			t.Fatal(err)
		}
		if got := sealed.RecipientOf(ids[0]); got != made.Recipient || sealed.Fingerprint(got) != made.Fingerprint || made.Path != out || made.Protected != (c.pass != "") {
			t.Errorf("%s: %+v, recipient %s", name, made, got)
		}
		if st, err := os.Stat(out); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
		if all := stdout.String() + stderr.String(); strings.Contains(all, "AGE-SECRET-KEY") {
			t.Errorf("%s: the private key is printed", name)
		}
		if !strings.Contains(stderr.String(), "Carry the file off this host") {
			t.Errorf("%s: no advice: %s", name, stderr)
		}
	}
}

func TestKeyGenerateRefuses(t *testing.T) {
	prefix := t.TempDir()
	taken := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		exit int
	}{
		"no file":            {nil, 64},
		"taken":              {[]string{"--out", taken}, 14},
		"no folder":          {[]string{"--out", filepath.Join(taken+"-no", "x")}, 14},
		"in the instance":    {[]string{"--out", filepath.Join(prefix, "etc", "practice", "main", "cred", "owner.key")}, 14},
		"empty passphrase":   {[]string{"--out", taken + "2", "--passphrase-file", empty}, 64},
		"missing passphrase": {[]string{"--out", taken + "2", "--passphrase-file", empty + "-no"}, 64},
	} {
		s, stdout, stderr := streams()
		code := Main(context.Background(), append([]string{"key", "generate", "--prefix", prefix}, c.args...), s)
		if code != c.exit || stdout.Len() != 0 || !strings.Contains(stderr.String(), "error:") {
			t.Errorf("%s: exit %d, want %d: %s%s", name, code, c.exit, stdout, stderr)
		}
	}
	if got, _ := os.ReadFile(taken); string(got) != "precious" {
		t.Error("the file was overwritten")
	}
	s, _, stderr := streams()
	if code := Main(context.Background(), []string{"key", "generate", "-n", "--out", taken + "3"}, s); code != 0 {
		t.Errorf("dry run: exit %d: %s", code, stderr)
	}
	if _, err := os.Stat(taken + "3"); err == nil {
		t.Error("the dry run wrote the file")
	}
}

func TestKeyListShowsRecipients(t *testing.T) {
	prefix := t.TempDir()
	var recipients []string
	for range 2 {
		id, err := sealed.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		recipients = append(recipients, id.Recipient())
	}
	file := filepath.Join(prefix, "practice.toml")
	s, _, _ := streams()
	if code := Main(context.Background(), []string{"key", "list", "--prefix", prefix}, s); code != 10 {
		t.Errorf("no configuration: exit %d", code)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("schema = 1\n[backup]\nrecipients = [\"" + strings.Join(recipients, "\", \"") + "\"]\n")
	s, stdout, stderr := streams()
	if code := Main(context.Background(), []string{"key", "list", "--config", file}, s); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, r := range recipients {
		if !strings.Contains(stdout.String(), r) || !strings.Contains(stdout.String(), sealed.Fingerprint(r)) {
			t.Errorf("%s is not in\n%s", r, stdout)
		}
	}
	s, stdout, stderr = streams()
	if code := Main(context.Background(), []string{"key", "list", "--config", file, "--json"}, s); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var doc struct{ Recipients []keyRow }
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil || len(doc.Recipients) != 2 || doc.Recipients[1].Recipient != recipients[1] || doc.Recipients[0].Algorithm != sealed.X25519 {
		t.Errorf("%v: %s", err, stdout)
	}
}
