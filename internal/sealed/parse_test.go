package sealed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

func TestParseRecipientsRefuses(t *testing.T) {
	good, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	key, private := good.Recipient(), good.Secret().Reveal()
	for name, keys := range map[string][]string{
		"none":       nil,
		"empty":      {""},
		"cut short":  {key[:40]},
		"mistyped":   {key[:20] + "b" + key[21:] + "q"},
		"ssh":        {"ssh-ed25519 AAAA"},
		"secret key": {private},
		"twice":      {key, key},
		"pq garbage": {"age1pq1qqqq"},
	} {
		_, err := ParseRecipients(keys)
		if uerr.KindOf(err) != uerr.Config {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if uerr.HintOf(err) == "" {
			t.Errorf("%s: no hint", name)
		}
		if strings.Contains(err.Error(), private[20:]) {
			t.Errorf("%s: the error shows a secret key", name)
		}
	}
	if _, err := ParseRecipients([]string{"  " + key + "\n"}); err != nil {
		t.Errorf("blanks around a key: %v", err)
	}
}

func TestIdentityFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Schlüssel der Praxis")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	id, r := newPair(t)
	file, err := SealBytes([]byte("note"), r)
	if err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	plainFile, lockedFile := filepath.Join(dir, "plain.key"), filepath.Join(dir, "locked.key")
	if err := writeIdentity(plainFile, id, secret.Text{}, created, 10); err != nil {
		t.Fatal(err)
	}
	if err := writeIdentity(lockedFile, id, secret.New("correct horse"), created, 10); err != nil {
		t.Fatal(err)
	}
	pass := func(s string) func() (secret.Text, error) {
		return func() (secret.Text, error) { return secret.New(s), nil }
	}
	for path, ask := range map[string]func() (secret.Text, error){plainFile: nil, lockedFile: pass("correct horse")} {
		ids, err := LoadIdentities(path, Ask{Passphrase: ask})
		if err != nil || len(ids) != 1 {
			t.Fatalf("%s: %v", path, err)
		}
		if got, err := OpenBytes(file, ids...); err != nil || string(got) != "note" {
			t.Errorf("%s: %q %v", path, got, err)
		}
		if got := RecipientOf(ids[0]); got != id.Recipient() {
			t.Errorf("recipient %q", got)
		}
		if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", st.Mode())
		}
	}
	if locked, _ := os.ReadFile(lockedFile); strings.Contains(string(locked), "SECRET") || strings.Contains(string(locked), id.Recipient()) {
		t.Error("the protected file shows keys")
	}

	if _, err := LoadIdentities(lockedFile, Ask{Passphrase: pass("wrong")}); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := LoadIdentities(lockedFile, Ask{}); uerr.KindOf(err) != uerr.NeedConfirm {
		t.Errorf("nobody to ask: %v", err)
	}
	if _, err := LoadIdentities(filepath.Join(dir, "missing"), Ask{}); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("missing: %v", err)
	}
	if err := WriteIdentity(plainFile, id, secret.Text{}, created); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("overwrite: %v", err)
	}
	for name, content := range map[string]string{"empty": "", "public": id.Recipient() + "\n", "garbage": "hello\n", "binary": "\x00\xff\x01"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentities(path, Ask{}); uerr.KindOf(err) != uerr.Auth {
			t.Errorf("%s: %v", name, err)
		}
	}
	damaged, _ := os.ReadFile(lockedFile)
	damaged = []byte(strings.Replace(string(damaged), string(damaged[len(damaged)-60:len(damaged)-50]), "AAAAAAAAAA", 1))
	path := filepath.Join(dir, "damaged")
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentities(path, Ask{Passphrase: pass("correct horse")}); uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("damaged: %v", err)
	}
}

func TestFingerprintIsStableAndIgnoresBlanks(t *testing.T) {
	const key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	if a, b := Fingerprint(key), Fingerprint(key+"\n"); a != b || len(a) != 24 {
		t.Errorf("%q %q", a, b)
	}
}

func FuzzParseIdentities(f *testing.F) {
	f.Add([]byte("# c\nAGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n"))
	f.Add([]byte("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"))
	f.Add([]byte("\x00\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := ParseIdentities(data)
		if err == nil && len(ids) == 0 {
			t.Error("no identity and no error")
		}
		if err != nil && strings.Contains(err.Error(), "AGE-SECRET-KEY-1") {
			t.Error("the error quotes a key")
		}
	})
}

func FuzzParseRecipient(f *testing.F) {
	f.Add("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
	f.Add("age1pq1q")
	f.Add("AGE-SECRET-KEY-1")
	f.Fuzz(func(t *testing.T, s string) {
		rs, err := ParseRecipients([]string{s})
		if err == nil && len(rs) != 1 {
			t.Errorf("%d recipients, error %v", len(rs), err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	id, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	rs, err := ParseRecipients([]string{id.Recipient()})
	if err != nil {
		f.Fatal(err)
	}
	file, err := SealBytes([]byte("hello"), rs...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := OpenBytes(data, id)
		if err == nil && string(got) != "hello" {
			t.Error("a foreign file opened")
		}
		if k := uerr.KindOf(err); err != nil && k != uerr.Auth && k != uerr.Integrity {
			t.Errorf("kind %v: %v", k, err)
		}
	})
}
