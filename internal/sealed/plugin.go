package sealed

import (
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"practicectl/internal/uerr"
)

// PluginUI is how the plugins of age ask the person at the terminal: for a PIN, or for a touch of the token.
type PluginUI = plugin.ClientUI

// pluginPrefix is how age names the programs of its plugins.
const pluginPrefix = "age-plugin-"

// pluginRecipient is a public key that a plugin knows how to encrypt to.
type pluginRecipient struct{ *plugin.Recipient }

func parsePluginRecipient(s string) (age.Recipient, error) {
	r, err := plugin.NewRecipient(s, silent())
	if err != nil {
		return nil, err
	}
	return pluginRecipient{r}, nil
}

func (r pluginRecipient) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	stanzas, labels, err := r.Recipient.WrapWithLabels(fileKey)
	return stanzas, labels, pluginError(r.Name(), "encrypt with", err)
}

func (r pluginRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	stanzas, _, err := r.WrapWithLabels(fileKey)
	return stanzas, err
}

// pluginIdentity is a private key that a plugin holds, or finds on a hardware token.
type pluginIdentity struct{ *plugin.Identity }

func parsePluginIdentity(s string, ui *PluginUI) (age.Identity, error) {
	if ui == nil {
		ui = silent()
	}
	id, err := plugin.NewIdentity(s, ui)
	if err != nil {
		return nil, err
	}
	return pluginIdentity{id}, nil
}

func (i pluginIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := i.Identity.Unwrap(stanzas)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, err
	}
	return key, pluginError(i.Name(), "decrypt with", err)
}

// String names the plugin and not the identity.
func (i pluginIdentity) String() string { return "identity of the plugin " + pluginPrefix + i.Name() }

// Format names the plugin and not the identity, whatever the verb.
func (i pluginIdentity) Format(f fmt.State, _ rune) { fmt.Fprint(f, i.String()) }

func isPluginIdentity(line string) bool {
	return strings.HasPrefix(strings.ToUpper(line), "AGE-PLUGIN-")
}

// pluginError says what to do about a plugin that is missing or that refused.
func pluginError(name, op string, err error) error {
	if err == nil {
		return nil
	}
	program := pluginPrefix + name
	var missing *plugin.NotFoundError
	if errors.As(err, &missing) {
		return uerr.New(uerr.Precond, op, program, errors.New("this plugin of age is not installed"), "install the program "+program+" into a folder of PATH")
	}
	return uerr.New(uerr.Auth, op, program, err, "try "+program+" with the age program itself; is the token plugged in?")
}

// silent is the UI where nobody can be asked: messages of a plugin are dropped and its questions refused.
func silent() *PluginUI {
	refuse := errors.New("nobody can be asked here")
	return &PluginUI{
		DisplayMessage: func(string, string) error { return nil },
		RequestValue:   func(string, string, bool) (string, error) { return "", refuse },
		Confirm:        func(string, string, string, string) (bool, error) { return false, refuse },
	}
}
