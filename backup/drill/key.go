package drill

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/uerr"
)

// LoadKey reads the key that signs this host's evidence. Error kinds: NotFound (there is none yet), Auth.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	const op = "read the key of the evidence"
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, uerr.New(uerr.NotFound, op, path, errors.New("this machine has not drilled yet"), "practicectl drill run")
	}
	if err != nil {
		return nil, uerr.New(uerr.Auth, op, path, err, "run the command as the account that owns the instance")
	}
	key, err := repo.ParseSigningKey(data)
	if err != nil {
		return nil, uerr.New(uerr.Auth, op, path, err, "bring it back from a snapshot, or name another one with --key")
	}
	return key, nil
}

// EnsureKey is LoadKey, and makes the key when there is none. Error kinds: Auth, Precond, NoSpace.
func EnsureKey(path string) (key ed25519.PrivateKey, made bool, err error) {
	if key, err = LoadKey(path); uerr.KindOf(err) != uerr.NotFound {
		return key, false, err
	}
	if key, err = repo.NewSigningKey(); err != nil {
		return nil, false, err
	}
	data, err := repo.EncodeSigningKey(key)
	if err != nil {
		return nil, false, err
	}
	err = os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o600, data)
	}
	if err != nil {
		return nil, false, uerr.New(kindOfFile(err), "write the key of the evidence", path, err, "run the drill below a --prefix that this account may write to")
	}
	return key, true, nil
}

// Fingerprint is how people compare keys: 16 hexadecimal digits of the SHA-256 of the public key.
func Fingerprint(k repo.PublicKey) string {
	if len(k) == 0 {
		return ""
	}
	sum := sha256.Sum256(k)
	return hex.EncodeToString(sum[:8])
}

func kindOfFile(err error) uerr.Kind {
	if diskspace.IsFull(err) {
		return uerr.NoSpace
	}
	return uerr.Precond
}
