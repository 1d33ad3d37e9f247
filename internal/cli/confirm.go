package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"practicectl/internal/sealed"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// danger says how much a confirmation must ask for.
type danger int

const (
	moderate danger = iota // a question, or --yes
	severe                 // the typed name, or --confirm NAME
)

// confirm asks before something that cannot easily be taken back. given is the value of --confirm for severe dangers.
// Without a terminal and without the flag nothing is done: kind NeedConfirm.
func (r *run) confirm(d danger, question, name, given string) error {
	flag := "--yes"
	if d == severe {
		flag = "--confirm " + name
	}
	switch {
	case d == moderate && r.yes(), d == severe && given == name && name != "":
		return nil
	case d == severe && given != "":
		return uerr.New(uerr.NeedConfirm, question, "", fmt.Errorf("--confirm %q does not name %q", given, name), "give "+flag)
	case r.noInput() || !isTerminal(r.app.In):
		return uerr.New(uerr.NeedConfirm, question, "", errors.New("nobody can be asked here"), "give "+flag+" after reading what it does")
	}
	want := "yes"
	if d == severe {
		want = name
	}
	fmt.Fprintf(r.app.Err, "%s\nType %q to go on: ", question, want)
	line, err := bufio.NewReader(r.app.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != want {
		return uerr.New(uerr.Declined, question, "", errors.New("declined, nothing was done"), "")
	}
	return nil
}

// askSecret asks for a secret without echo.
func (r *run) askSecret(flag, prompt string) (secret.Text, error) {
	return r.askTerminal(prompt, "give --"+flag+" FILE, or - for standard input")
}

// askTerminal asks without echo; otherwise is the hint where there is no terminal.
func (r *run) askTerminal(prompt, otherwise string) (secret.Text, error) {
	f, ok := r.app.In.(*os.File)
	if r.noInput() || !ok || !isTerminal(f) {
		return secret.Text{}, uerr.New(uerr.NeedConfirm, prompt, "", errors.New("nobody can be asked here"), otherwise)
	}
	fmt.Fprintf(r.app.Err, "%s: ", prompt)
	line, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(r.app.Err)
	if err != nil {
		return secret.Text{}, err
	}
	return secret.New(string(line)), nil
}

// pluginUI is how a plugin of age (a hardware token) speaks with the person at the terminal.
func (r *run) pluginUI() *sealed.PluginUI {
	return &sealed.PluginUI{
		DisplayMessage: func(name, message string) error {
			r.say("age-plugin-%s: %s", name, message)
			return nil
		},
		RequestValue: func(name, prompt string, _ bool) (string, error) {
			value, err := r.askTerminal("age-plugin-"+name+": "+prompt, "let the plugin work without a question, or run the command at a terminal")
			return value.Reveal(), err
		},
		Confirm: func(name, prompt, yes, no string) (bool, error) {
			question := fmt.Sprintf("age-plugin-%s: %s (%s)", name, prompt, yes)
			if no == "" {
				r.say("%s", question)
				return true, nil
			}
			err := r.confirm(moderate, question, "", "")
			if uerr.KindOf(err) == uerr.Declined {
				return false, nil
			}
			return err == nil, err
		},
		WaitTimer: func(name string) { r.say("age-plugin-%s: waiting; does the token want to be touched?", name) },
	}
}
