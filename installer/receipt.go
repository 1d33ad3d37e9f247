package installer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// Receipt says what was installed for one component: enough to verify it and to take it away again.
type Receipt struct {
	Schema      int            `json:"schema"`
	Component   string         `json:"component"`
	Version     string         `json:"version"`
	Provider    string         `json:"provider"`            // "release", or of PostgreSQL "system" or "bundled"
	Dir         string         `json:"dir"`                 // where its files are
	FilesSHA256 string         `json:"files_sha256"`        // of component.json, which names the hash of every file; empty for system
	Requires    []string       `json:"requires"`            // other components
	Services    []string       `json:"services"`            // that run because of it
	Ports       map[string]int `json:"ports"`               // name → port
	Asked       bool           `json:"asked"`               // a person named it, or its profile; false: another one requires it
	Installed   time.Time      `json:"installed"`           // UTC
	Prev        string         `json:"prev_receipt_sha256"` // the receipt before this one; empty in the first
}

const receiptSchema = 1

// same reports whether two receipts say the same, whenever they were written.
func (r Receipt) same(o Receipt) bool {
	for _, x := range []*Receipt{&r, &o} {
		x.Installed, x.Prev = time.Time{}, ""
	}
	a, errA := json.Marshal(r)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && string(a) == string(b)
}

func receiptPath(dir, component string) string { return filepath.Join(dir, component+".json") }

// WriteReceipt writes r into dir, chained to the receipt it replaces.
func WriteReceipt(dir string, r Receipt) error {
	path := receiptPath(dir, r.Component)
	r.Schema = receiptSchema
	old, err := os.ReadFile(path)
	switch {
	case err == nil:
		sum := sha256.Sum256(old)
		r.Prev = hex.EncodeToString(sum[:])
	case !errors.Is(err, fs.ErrNotExist):
		return cannot("read the receipt", path, err)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o750), atomicfile.WriteBytes(path, 0o640, append(data, '\n')))
	}
	if err != nil {
		return cannot("write the receipt", path, err)
	}
	return nil
}

// ReadReceipt returns the receipt of a component. Error kinds: NotFound, Integrity.
func ReadReceipt(dir, component string) (Receipt, error) {
	path := receiptPath(dir, component)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Receipt{}, uerr.New(uerr.NotFound, "component", component, errors.New("not installed"), "practicectl component list")
	}
	if err != nil {
		return Receipt{}, cannot("read the receipt", path, err)
	}
	var r Receipt
	if err := json.Unmarshal(data, &r); err != nil || r.Component != component {
		return Receipt{}, uerr.New(uerr.Integrity, "read the receipt", path, errors.Join(err, errors.New("it is damaged")), "write it again: practicectl install")
	}
	return r, nil
}

// ReadReceipts returns all receipts in dir, by name. A missing dir has none.
func ReadReceipts(dir string) ([]Receipt, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, cannot("list the receipts in", dir, err)
	}
	var all []Receipt
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || e.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		r, err := ReadReceipt(dir, name)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Receipt) int { return strings.Compare(a.Component, b.Component) })
	return all, nil
}

// requiredBy returns the components that name another one in their receipts.
func requiredBy(all []Receipt, component string) []string {
	var names []string
	for _, r := range all {
		if slices.Contains(r.Requires, component) {
			names = append(names, r.Component)
		}
	}
	return names
}
