// Package paths says where everything of one instance lives on a machine.
//
// A system-wide installation has the prefix "/". An ordinary user's has the same tree under a folder of their own.
package paths

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// DefaultInstance is the instance that commands mean when none is named.
const DefaultInstance = "main"

// maxSocketDir keeps "<dir>/.s.PGSQL.65535.lock" within the 107 bytes of a unix socket address.
const maxSocketDir = 84

// Layout is the places of one instance.
type Layout struct {
	Prefix   string // absolute
	Instance string
}

var instanceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// New checks instance and makes prefix absolute.
func New(prefix, instance string) (Layout, error) {
	if !instanceName.MatchString(instance) {
		return Layout{}, fmt.Errorf("instance name %q: want a lower-case letter, then up to 30 letters, digits or dashes", instance)
	}
	abs, err := filepath.Abs(prefix)
	return Layout{Prefix: abs, Instance: instance}, err
}

// Component is the folder of all versions of a component, shared by the instances of a machine.
func (l Layout) Component(name string) string { return filepath.Join(l.Opt(), name) }

// Opt is the folder of all components.
func (l Layout) Opt() string { return filepath.Join(l.Prefix, "opt", "practice") }

// Etc is the configuration folder of the instance.
func (l Layout) Etc() string { return filepath.Join(l.Prefix, "etc", "practice", l.Instance) }

// Config is the one configuration file of the instance.
func (l Layout) Config() string { return filepath.Join(l.Etc(), "practice.toml") }

// Cred holds the instance's own secrets (mode 0700): signing key, index key, TLS key, store credentials.
func (l Layout) Cred() string { return filepath.Join(l.Etc(), "cred") }

// Var is the state folder of the instance.
func (l Layout) Var() string { return filepath.Join(l.Prefix, "var", "lib", "practice", l.Instance) }

// PGData is the database cluster.
func (l Layout) PGData() string { return filepath.Join(l.Var(), "pg") }

// Receipts says what was installed: one file a component.
func (l Layout) Receipts() string { return filepath.Join(l.Var(), "receipts") }

// Journals holds the step journals of install, update and restore.
func (l Layout) Journals() string { return filepath.Join(l.Var(), "journals") }

// Trust holds the signed metadata that update checks have seen: root history and newest versions.
func (l Layout) Trust() string { return filepath.Join(l.Var(), "trust") }

// BackupCache holds what the backup remembers between runs. Losing it costs time, never data.
func (l Layout) BackupCache() string { return filepath.Join(l.Var(), "backup") }

// Downloads holds targets on their way, named *.unverified until they are verified.
func (l Layout) Downloads() string { return filepath.Join(l.Var(), "downloads") }

// Log is the log folder of the instance.
func (l Layout) Log() string { return filepath.Join(l.Prefix, "var", "log", "practice", l.Instance) }

// Run holds locks and sockets of the running instance. Under a long prefix the system's limit on socket addresses
// would be passed, so then it is a private folder in the temporary directory, named after the prefix; see ClaimRun.
func (l Layout) Run() string {
	dir := filepath.Join(l.Prefix, "run", "practice", l.Instance)
	if len(dir) <= maxSocketDir {
		return dir
	}
	sum := sha256.Sum256([]byte(l.Prefix))
	return filepath.Join(os.TempDir(), fmt.Sprintf("practice-%d-%s-%s", os.Getuid(), hex.EncodeToString(sum[:4]), l.Instance))
}

// ClaimRun makes the run folder when it lies in the temporary directory, where anybody may make folders, and refuses
// one that somebody else made: whoever owns it could pose as the instance's database or agent.
func (l Layout) ClaimRun() error {
	dir := l.Run()
	if filepath.Dir(dir) != filepath.Clean(os.TempDir()) {
		return nil
	}
	err := os.Mkdir(dir, 0o750)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 || !ownedByUs(info) {
		return fmt.Errorf("%s belongs to somebody else: remove it, or choose a shorter prefix", dir)
	}
	return nil
}

// Lock is the kernel lock of one kind of job, such as "backup".
func (l Layout) Lock(job string) string { return filepath.Join(l.Run(), job+".lock") }

// AgentSocket is where a running agent listens.
func (l Layout) AgentSocket() string { return filepath.Join(l.Run(), "agent.sock") }

// AdminSocket is where a running core server listens for the local administrator.
func (l Layout) AdminSocket() string { return filepath.Join(l.Run(), "admin.sock") }
