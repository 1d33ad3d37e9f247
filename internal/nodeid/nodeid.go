// Package nodeid is the lasting name of one installation: random, secret to nobody. It places a machine in staged
// rollouts and spreads the scheduled jobs of several machines.
package nodeid

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"practicectl/internal/atomicfile"
	"practicectl/internal/paths"
)

// Path is where the name of an instance is kept.
func Path(l paths.Layout) string { return filepath.Join(l.Var(), "node.json") }

type node struct {
	Schema int    `json:"schema"`
	ID     string `json:"id"`
}

// Read returns the name in the file at path; "" when there is none yet.
func Read(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var n node
	if err := json.Unmarshal(data, &n); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return n.ID, nil
}

// Ensure returns the name in the file at path and makes one where there is none.
func Ensure(path string) (string, error) {
	if id, err := Read(path); err != nil || id != "" {
		return id, err
	}
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	n := node{Schema: 1, ID: hex.EncodeToString(b[:])}
	data, err := json.Marshal(n)
	if err != nil {
		return "", err
	}
	return n.ID, atomicfile.WriteBytes(path, 0o640, append(data, '\n'))
}
