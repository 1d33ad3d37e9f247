package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"practicectl/internal/uerr"
)

// Settings is what the generated configuration depends on besides the version.
type Settings struct {
	Name   string            // shown in process titles and logs, such as the instance
	Memory uint64            // bytes of RAM of the machine; 0: ask the machine
	Users  []UserMap         // more operating system accounts; the one that runs the cluster may be every role
	Extra  map[string]string // more parameters, after all others: tests and drills
}

// UserMap lets an operating system account connect as a role.
type UserMap struct {
	Account string
	Role    string
}

// EveryRole is the roles that people and services may connect as.
func EveryRole() []string {
	return []string{Superuser, RoleServer, RoleMigrate, RoleBackup, RoleSealer, RoleAuditor}
}

const generated = "# Written by practicectl; changes are lost. Your own settings belong into conf.d/50-local.conf.\n"

// Configure writes conf.d/10-practicectl.conf, pg_hba.conf and pg_ident.conf for the cluster's socket folder, port and
// version, also over a restored copy of another instance. conf.d/50-local.conf is made empty when it is missing and
// otherwise left alone. A running server takes most of it at its next start. Error kinds: NotFound, NoSpace, Precond.
func (c *Cluster) Configure(ctx context.Context, s Settings) error {
	const op = "configure the database cluster"
	if !c.Initialized() {
		return c.notInitialized(nil)
	}
	owner, err := c.ownerName()
	if err != nil {
		return err
	}
	if err := errors.Join(c.adopt(), c.release()); err != nil {
		return c.pathError(op, err)
	}
	if err := c.write("pg_hba.conf", []byte(hba())); err != nil {
		return c.pathError(op, err)
	}
	ident, err := ident(owner, s.Users)
	if err != nil {
		return err
	}
	if err := c.write("pg_ident.conf", []byte(ident)); err != nil {
		return c.pathError(op, err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "conf.d", "50-local.conf")); err != nil {
		if err := c.write("conf.d/50-local.conf", []byte("# Your own settings; practicectl never changes this file.\n")); err != nil {
			return c.pathError(op, err)
		}
	}
	conf, err := c.conf(ctx, s)
	if err != nil {
		return err
	}
	if err := c.write("conf.d/10-practicectl.conf", []byte(conf)); err != nil {
		return c.pathError(op, err)
	}
	return nil
}

// hba lets local accounts in as the roles that pg_ident.conf gives them, and nobody in over TCP.
func hba() string {
	return generated + `# TYPE  DATABASE     USER                      ADDRESS  METHOD
local   all          all                                peer map=practice
local   replication  ` + RoleBackup + `,` + Superuser + `           peer map=practice
host    all          ` + Superuser + `            all      reject
host    replication  ` + Superuser + `            all      reject
host    all          all                       all      reject
`
}

func ident(owner string, users []UserMap) (string, error) {
	var b strings.Builder
	b.WriteString(generated + "# MAPNAME  ACCOUNT  ROLE\n")
	line := func(account, role string) error {
		if account == "" || strings.ContainsAny(account, "\"\n\r") || strings.HasPrefix(account, "/") || !slices.Contains(EveryRole(), role) {
			return uerr.New(uerr.Config, "map the account", strconv.Quote(account), fmt.Errorf("it cannot be mapped to the role %q", role), "")
		}
		fmt.Fprintf(&b, "practice  \"%s\"  %s\n", account, role)
		return nil
	}
	for _, role := range EveryRole() {
		if err := line(owner, role); err != nil {
			return "", err
		}
	}
	for _, u := range users {
		if u.Account == owner {
			continue
		}
		if err := line(u.Account, u.Role); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// conf renders conf.d/10-practicectl.conf.
func (c *Cluster) conf(ctx context.Context, s Settings) (string, error) {
	if s.Memory == 0 {
		s.Memory = machineMemory()
	}
	groups := []group{
		{"How it is reached: the unix socket, no TCP.", [][2]string{
			{"listen_addresses", ""},
			{"port", strconv.Itoa(c.Port)},
			{"unix_socket_directories", `"` + strings.ReplaceAll(c.SocketDir, `"`, `""`) + `"`},
			{"cluster_name", s.Name},
		}},
		{"Memory and disk, from the size of the machine.", tuning(s.Memory, diskSize(filepath.Dir(c.Data)))},
		{"Backups, standbys and tracing of commits.", [][2]string{
			{"wal_level", "replica"}, {"max_wal_senders", "10"}, {"max_replication_slots", "10"}, {"hot_standby", "on"},
			{"full_page_writes", "on"}, {"track_commit_timestamp", "on"}, {"wal_compression", c.walCompression(ctx, s)},
		}},
		{"The log: what happened, never the values of statements.", [][2]string{
			{"logging_collector", "off"}, {"log_destination", "stderr"}, {"log_line_prefix", "%m [%p] %q%u@%d/%a %x "}, {"log_timezone", "UTC"},
			{"log_lock_waits", "on"}, {"log_statement", "none"}, {"log_min_duration_statement", "-1"}, {"log_min_error_statement", "panic"},
			{"log_error_verbosity", "terse"}, {"log_parameter_max_length", "0"}, {"log_parameter_max_length_on_error", "0"},
		}},
		{"Behaviour.", [][2]string{
			{"timezone", "UTC"}, {"datestyle", "iso, ymd"}, {"jit", "off"}, {"password_encryption", "scram-sha-256"},
			{"idle_in_transaction_session_timeout", "5min"}, {"restart_after_crash", "on"},
		}},
	}
	if c.Bin.Major >= 17 {
		groups = append(groups, group{"PostgreSQL 17 and newer.", [][2]string{
			{"allow_alter_system", "off"}, {"summarize_wal", "on"}, {"wal_summary_keep_time", "30d"}}})
	}
	if c.Bin.Major >= 18 {
		groups = append(groups, group{"PostgreSQL 18 and newer.", [][2]string{{"io_method", "worker"}}})
	}
	if len(s.Extra) > 0 {
		g := group{title: "Asked for."}
		for _, k := range slices.Sorted(maps.Keys(s.Extra)) {
			g.lines = append(g.lines, [2]string{k, s.Extra[k]})
		}
		groups = append(groups, g)
	}
	if strings.ContainsAny(c.SocketDir, "\n\r") {
		return "", uerr.New(uerr.Precond, "configure the database cluster", c.SocketDir, fs.ErrInvalid, "use a --prefix without line breaks")
	}
	var b strings.Builder
	b.WriteString(generated)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n# %s\n", g.title)
		for _, l := range g.lines {
			fmt.Fprintf(&b, "%s = %s\n", l[0], quoteConf(l[1]))
		}
	}
	return b.String(), nil
}

type group struct {
	title string
	lines [][2]string
}

// quoteConf quotes a value as guc-file.l reads it.
func quoteConf(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(v) + "'"
}

// walCompression returns the best method that the binaries were built with.
func (c *Cluster) walCompression(ctx context.Context, s Settings) string {
	if method := s.Extra["wal_compression"]; method != "" {
		return method
	}
	for _, method := range []string{"zstd", "lz4"} {
		if _, err := c.run(ctx, "", "postgres", "-C", "wal_compression", "-D", c.Data, "-c", "wal_compression="+method); err == nil {
			return method
		}
	}
	return "pglz" // always built in
}
