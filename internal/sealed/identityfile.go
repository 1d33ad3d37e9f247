package sealed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"practicectl/internal/atomicfile"
	"practicectl/internal/escrow"
	"practicectl/internal/paper"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

const (
	maxIdentityFile = 1 << 20 // bytes
	ageIntro        = "age-encryption.org/"
	// Work factors of the passphrase: 2^18 takes about a second, as in the age program. Files asking for more than
	// 2^20 are refused, so that a foreign file cannot stall us.
	workFactor    = 18
	maxWorkFactor = 20
)

// Ask is where an identity and what protects it come from besides its file.
type Ask struct {
	Stdin      io.Reader                   // what the path "-" stands for; nil: not offered
	Passphrase func() (secret.Text, error) // called only for a protected file; nil: nobody can be asked
	Plugin     *PluginUI                   // of age plugins; nil: they can ask nothing
}

// LoadIdentities reads an identity file: plain as age-keygen writes it, itself protected by a passphrase (binary or armored),
// or the lines typed from a paper page, of an identity or of enough shares of one. Error kinds: NotFound, Auth (wrong
// passphrase, or not an identity file), Integrity, NeedConfirm.
func LoadIdentities(path string, ask Ask) ([]age.Identity, error) {
	const op = "read the identity file"
	data, err := ask.read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, uerr.New(uerr.NotFound, op, path, errors.New("there is no such file"), "bring the offline identity file and name it: --identity FILE")
	case err != nil:
		return nil, uerr.New(uerr.Auth, op, path, err, "")
	}
	if isProtected(data) {
		if ask.Passphrase == nil {
			return nil, uerr.New(uerr.NeedConfirm, op, path, errors.New("it is protected by a passphrase and nobody can be asked"), "give --passphrase-file FILE")
		}
		pass, err := ask.Passphrase()
		if err != nil {
			return nil, err
		}
		if data, err = unprotect(data, pass); err != nil {
			var ue *uerr.Error
			if errors.As(err, &ue) {
				return nil, uerr.New(ue.Kind, op, path, ue.Err, ue.Hint)
			}
			return nil, uerr.New(uerr.Auth, op, path, err, "")
		}
	}
	ids, err := parseIdentities(data, ask.Plugin)
	if err != nil {
		return nil, uerr.New(uerr.Auth, op, path, err, "give the file that practicectl key generate wrote")
	}
	return ids, nil
}

func (a Ask) read(path string) ([]byte, error) {
	if path == "-" && a.Stdin != nil {
		return bounded(a.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := bounded(f)
	return data, errors.Join(err, f.Close())
}

// ParseIdentities reads private keys, one a line; empty lines and lines beginning with # are skipped. Its errors
// name lines and never quote them.
func ParseIdentities(data []byte) ([]age.Identity, error) { return parseIdentities(data, nil) }

// parseIdentities also takes lines typed from paper, and shares of one identity in place of it.
func parseIdentities(data []byte, ui *PluginUI) ([]age.Identity, error) {
	out, shares, err := parseLines(data, ui)
	if err != nil {
		return nil, err
	}
	if len(shares) > 0 {
		id, err := CombineShares(shares)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, errors.New("there is no private key in it")
	}
	return out, nil
}

func parseLines(data []byte, ui *PluginUI) (ids []age.Identity, shares []escrow.Share, err error) {
	text, err := paper.Join(string(data))
	if err != nil {
		return nil, nil, err
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, maxIdentityFile)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case escrow.IsShare(line):
			share, err := escrow.Parse(line)
			if err != nil {
				return nil, nil, fmt.Errorf("line %d: %w", n, err)
			}
			shares = append(shares, share)
		default:
			id, err := parseIdentity(line, ui)
			if err != nil {
				return nil, nil, fmt.Errorf("line %d is %w", n, err)
			}
			ids = append(ids, id)
		}
	}
	if lines.Err() != nil {
		return nil, nil, errors.New("it is not a text file of keys")
	}
	return ids, shares, nil
}

func parseIdentity(line string, ui *PluginUI) (age.Identity, error) {
	if isPluginIdentity(line) {
		id, err := parsePluginIdentity(line, ui)
		if err != nil {
			return nil, errors.New("not a whole identity of an age plugin")
		}
		return id, nil
	}
	ids, err := age.ParseIdentities(strings.NewReader(line))
	switch {
	case err == nil && len(ids) == 1:
		return ids[0], nil
	case strings.HasPrefix(line, "age1"):
		return nil, errors.New("a public key; the private one begins with AGE-SECRET-KEY-")
	}
	return nil, errors.New("not an age private key")
}

// WriteIdentity writes a new identity file with mode 0600, protected by passphrase unless that is empty. It never
// overwrites. Error kind: Precond when the file exists.
func WriteIdentity(path string, id *Identity, passphrase secret.Text, created time.Time) error {
	return writeIdentity(path, id, passphrase, created, workFactor)
}

func writeIdentity(path string, id *Identity, passphrase secret.Text, created time.Time, logN int) error {
	const op = "write the identity file"
	text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", created.UTC().Format(time.RFC3339), id.recipient, id.text.Reveal())
	data := []byte(text)
	if !passphrase.Empty() {
		var err error
		if data, err = protect(data, passphrase, logN); err != nil {
			return uerr.New(uerr.Failed, op, path, err, "")
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return uerr.New(uerr.Precond, op, path, errors.New("the file exists already and a key is never overwritten"), "choose another file name")
	case err != nil:
		return uerr.New(uerr.Precond, op, path, err, "choose a folder that exists and that you may write to")
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = atomicfile.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		kind := uerr.Failed
		if errors.Is(err, syscall.ENOSPC) {
			kind = uerr.NoSpace
		}
		return uerr.New(kind, op, path, errors.Join(err, os.Remove(path)), "")
	}
	return nil
}

func protect(plain []byte, passphrase secret.Text, logN int) ([]byte, error) {
	r, err := age.NewScryptRecipient(passphrase.Reveal())
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(logN)
	var out bytes.Buffer
	arm := armor.NewWriter(&out)
	w, err := age.Encrypt(arm, r)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := arm.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unprotect(data []byte, passphrase secret.Text) ([]byte, error) {
	id, err := age.NewScryptIdentity(passphrase.Reveal())
	if err != nil {
		return nil, uerr.New(uerr.Auth, "", "", errors.New("the passphrase is empty"), "give the passphrase of the identity file")
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	var src io.Reader = bytes.NewReader(data)
	if bytes.HasPrefix(data, []byte(armor.Header)) {
		src = armor.NewReader(src)
	}
	r, err := Open(src, id)
	if uerr.KindOf(err) == uerr.Auth {
		return nil, uerr.New(uerr.Auth, "", "", errors.New("the passphrase is wrong"), "try again with the passphrase chosen when the key was made")
	}
	if err != nil {
		return nil, asDamaged(err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxIdentityFile))
	if err != nil {
		return nil, asDamaged(err)
	}
	return plain, nil
}

func asDamaged(error) error {
	return uerr.New(uerr.Integrity, "", "", errors.New("the protected identity file is damaged"), "take another copy of it")
}

func isProtected(data []byte) bool {
	return bytes.HasPrefix(data, []byte(ageIntro)) || bytes.HasPrefix(data, []byte(armor.Header))
}

func bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxIdentityFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxIdentityFile {
		return nil, errors.New("it is too large for an identity file")
	}
	return data, nil
}
