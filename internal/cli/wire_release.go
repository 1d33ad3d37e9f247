package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
	"practicectl/release/publish"
)

// openKeys opens signing keys that share one passphrase.
func (r *run) openKeys(files []string, passphraseFile string) ([]*publish.Key, error) {
	if len(files) == 0 {
		return nil, uerr.New(uerr.Usage, "", "", errors.New("no key given"), "give --key FILE")
	}
	var pass secret.Text
	var keys []*publish.Key
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, uerr.New(uerr.NotFound, "read the key", file, err, "practicectl release keygen --help")
		}
		if pass.Empty() {
			if pass, err = r.readSecret("passphrase-file", "Passphrase of the signing key", passphraseFile); err != nil {
				return nil, err
			}
		}
		k, err := publish.OpenKey(data, pass)
		if err != nil {
			return nil, uerr.New(uerr.KindOf(err), "open", file, err, "")
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// readPublicKeys reads the files made by keygen for one role.
func readPublicKeys(files []string) ([]publish.PublicKey, error) {
	var out []publish.PublicKey
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, uerr.New(uerr.NotFound, "read the public key", file, err, "practicectl release keygen --help")
		}
		p, err := publish.ParsePublicKey(data)
		if err != nil {
			return nil, uerr.New(uerr.Integrity, "read", file, err, "")
		}
		out = append(out, p)
	}
	return out, nil
}

// parseThresholds reads "root=2".
func parseThresholds(list []string) (map[string]int, error) {
	out := map[string]int{}
	for _, item := range list {
		role, count, ok := strings.Cut(item, "=")
		n, err := strconv.Atoi(count)
		if !ok || err != nil {
			return nil, uerr.New(uerr.Usage, "", "", fmt.Errorf("--threshold %q: want ROLE=NUMBER", item), "")
		}
		out[role] = n
	}
	return out, nil
}

// parsePairs reads "name=value" as given to flag.
func parsePairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, item := range list {
		k, v, ok := strings.Cut(item, "=")
		if !ok || k == "" || v == "" {
			return nil, uerr.New(uerr.Usage, "", "", fmt.Errorf("--%s %q: want NAME=VALUE", flag, item), "")
		}
		out[k] = v
	}
	return out, nil
}

// shortID is enough of a key id for people to tell keys apart.
func shortID(id string) string { return id[:min(16, len(id))] }
