package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/cli"
	"practicectl/internal/testenv"
)

// practicectl runs a command for the clinic without a terminal.
func (c *clinic) practicectl(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e syncBuffer
	code = cli.Main(t.Context(), append([]string{"--prefix", c.layout.Prefix}, args...),
		cli.Streams{In: strings.NewReader(stdin), Out: &o, Err: &e, Getenv: func(string) string { return "" }, Now: time.Now})
	return code, o.String(), e.String()
}

func TestPeopleAreAddedFromTheCommandLine(t *testing.T) {
	c := newClinic(t, testenv.PGMajors[0])
	if code, _, errs := c.command(t, "migrate"); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := c.practicectl(t, "", "user", "add", "--first", "--login", "anna", "--name", "Anna Berg"); code != 15 || !strings.Contains(errs, "practicectl status") {
		t.Fatalf("without a server: exit %d, %s", code, errs)
	}
	c.serve(t)
	const password = "ein sehr langer Satz 17"
	file := filepath.Join(c.layout.Prefix, "pw")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	type made struct {
		Login, Role string
		Number      int
		Code        string `json:"activation_code"`
	}
	add := func(stdin string, want int, args ...string) (m made) {
		t.Helper()
		code, out, errs := c.practicectl(t, stdin, append([]string{"user", "add", "--json"}, args...)...)
		if code != want {
			t.Fatalf("%v: exit %d, %s%s", args, code, out, errs)
		}
		if strings.Contains(errs, password) {
			t.Errorf("%v tells the password: %s", args, errs)
		}
		if code == 0 {
			if err := json.Unmarshal([]byte(out), &m); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	if m := add("", 0, "--first", "--login", "Anna", "--name", "Anna Berg", "--role", "group_admin"); m.Code == "" || m.Login != "anna" {
		t.Fatalf("first: %+v", m)
	}
	if m := add("", 0, "--first", "--login", "anna", "--name", "Anna Berg", "--password-file", file); m.Code != "" || m.Number != 1 { // the code got lost
		t.Fatalf("first again: %+v", m)
	}
	add("", 14, "--first", "--login", "eve", "--name", "Eve")
	add("", 64, "--first", "--login", "eve", "--name", "Eve", "--role", "member")
	add("", 64, "--login", "ute", "--name", "Ute Lang")                                            // who asks?
	add("", 19, "--login", "ute", "--name", "Ute Lang", "--as", "anna")                            // nobody to ask for the password
	add("falsch\n", 12, "--login", "ute", "--name", "Ute", "--as", "anna", "--password-file", "-") // wrong password
	if m := add(password+"\n", 0, "--login", "ute", "--name", "Ute Lang", "--role", "secretariat", "--as", "anna", "--password-file", "-"); m.Code == "" || m.Role != "secretariat" || m.Number != 2 {
		t.Fatalf("ute: %+v", m)
	}
	add("", 14, "--login", "ute", "--name", "Ute Lang", "--as", "anna", "--password-file", file) // taken
	add("", 64, "--login", "u t e", "--name", "Ute Lang", "--as", "anna", "--password-file", file)

	code, out, errs := c.practicectl(t, "", "user", "list", "--as", "anna", "--password-file", file)
	if code != 0 || !strings.Contains(out, "secretariat") || !strings.Contains(out, "invited") || strings.Contains(out+errs, password) {
		t.Fatalf("list: exit %d, %s%s", code, out, errs)
	}
}
