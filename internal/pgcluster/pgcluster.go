// Package pgcluster runs one PostgreSQL cluster: it finds the binaries, makes and configures the cluster, starts and
// stops it, reads its control data and speaks its replication protocol.
//
// PostgreSQL 15 to 18 are supported; what a version can do is asked of its binaries. Only initdb, pg_ctl and postgres
// are used, because bundles hold nothing else. The cluster listens on a unix socket and knows people by their operating
// system account ("peer"): there are no passwords.
package pgcluster

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// The newest and the oldest major version that is supported.
const (
	MinMajor = 15
	MaxMajor = 18
)

// The roles of a cluster. Bootstrap makes all but Superuser, which initdb makes.
const (
	Superuser   = "practice_super"
	RoleServer  = "pm_server"
	RoleMigrate = "pm_migrate"
	RoleBackup  = "pm_backup"
	RoleSealer  = "pm_sealer"
	RoleAuditor = "pm_auditor"
)

// DefaultDatabase is the database of a practice.
const DefaultDatabase = "practice"

// DefaultPort names the unix socket when nothing else is asked for. It is not 5432, which belongs to the
// distribution's own cluster.
const DefaultPort = 5433

// Binaries is an installed PostgreSQL.
type Binaries struct {
	Dir     string `json:"dir"`     // holds initdb, pg_ctl and postgres
	Major   int    `json:"major"`   // such as 18
	Version string `json:"version"` // such as "18.4"
}

func (b Binaries) tool(name string) string { return filepath.Join(b.Dir, name+exeSuffix) }

// Cluster is one cluster on this machine, made or not.
type Cluster struct {
	Bin       Binaries
	Data      string   // data directory
	SocketDir string   // folder of the unix socket, at most 84 bytes
	Log       string   // file that gets the server's log when Start is used
	Port      int      // names the socket; a TCP port only when Settings.Listen asks for one
	RunAs     *Account // account that runs the server; nil: the caller's
}

// At is the cluster of an instance, run by the caller's own account.
func At(l paths.Layout, bin Binaries, port int) *Cluster {
	return &Cluster{Bin: bin, Data: l.PGData(), SocketDir: l.Run(), Log: filepath.Join(l.Log(), "postgres.log"), Port: port}
}

// Account is the operating system account that runs a cluster. On Windows only the name counts.
type Account struct {
	Name     string
	UID, GID uint32
}

// Initialized reports whether the data directory holds a cluster.
func (c *Cluster) Initialized() bool {
	_, err := os.Stat(filepath.Join(c.Data, "PG_VERSION"))
	return err == nil
}

// DataMajor returns the major version that made the data directory. Error kind: NotFound.
func (c *Cluster) DataMajor() (int, error) {
	raw, err := os.ReadFile(filepath.Join(c.Data, "PG_VERSION"))
	if err != nil {
		return 0, c.notInitialized(err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, uerr.New(uerr.Integrity, "read the version of the database cluster", c.Data, err, "restore the cluster: practicectl restore run")
	}
	return major, nil
}

// Socket is the path of the unix socket.
func (c *Cluster) Socket() string {
	return filepath.Join(c.SocketDir, ".s.PGSQL."+strconv.Itoa(c.Port))
}

func (c *Cluster) notInitialized(err error) error {
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = errors.New("there is no database cluster yet")
	}
	return uerr.New(uerr.NotFound, "open the database cluster", c.Data, err, "make one: practicectl db init")
}

// usable refuses what can never work: root without an account, a version that does not fit the data.
func (c *Cluster) usable(op string) error {
	if err := c.runnable(op); err != nil {
		return err
	}
	major, err := c.DataMajor()
	if err != nil {
		return err
	}
	if c.Bin.Major != 0 && major != c.Bin.Major {
		return uerr.New(uerr.Precond, op, c.Data,
			errors.New("the cluster was made by PostgreSQL "+strconv.Itoa(major)+", the binaries are "+c.Bin.Version),
			"give the binaries of version "+strconv.Itoa(major)+": set database.bin in practice.toml")
	}
	return nil
}
