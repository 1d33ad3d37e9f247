package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"practicectl/internal/config"
	"practicectl/internal/diskspace"
	"practicectl/internal/doctor"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
)

// roomToInstall is what a new practice and its first restore want, in bytes.
const roomToInstall = 5 << 30

// machineCheckups is what is looked at where no practice is installed yet: would one fit here?
var machineCheckups = []struct {
	id, name string
	run      func(paths.Layout, context.Context) (doctor.Severity, string, string)
}{
	{"D02", "account", checkAccount},
	{"D04", "disk-space", checkRoom},
	{"D09", "ports", checkPorts},
	{"D11", "database-provider", checkPostgreSQL},
}

func machineChecks(l paths.Layout) []doctor.Check {
	out := make([]doctor.Check, len(machineCheckups))
	for i, c := range machineCheckups {
		out[i] = doctor.Check{ID: c.id, Name: c.name, Run: func(ctx context.Context) (doctor.Severity, string, string) { return c.run(l, ctx) }}
	}
	return out
}

func checkAccount(paths.Layout, context.Context) (doctor.Severity, string, string) {
	if os.Geteuid() == 0 {
		return doctor.Warn, "this is root; the practice is installed by an ordinary user", "useradd --create-home practice, then as that user: practicectl install --prefix ~/practice --from DIR|URL"
	}
	return doctor.OK, "an ordinary user", ""
}

func checkRoom(l paths.Layout, _ context.Context) (doctor.Severity, string, string) {
	dir := l.Prefix
	for _, err := os.Stat(dir); err != nil && dir != filepath.Dir(dir); _, err = os.Stat(dir) {
		dir = filepath.Dir(dir)
	}
	free, err := diskspace.Free(dir)
	if err != nil {
		return doctor.Fail, err.Error(), "name another folder: --prefix DIR"
	}
	if free < roomToInstall {
		return doctor.Fail, fmt.Sprintf("%s free in %s, want %s", size(free), dir, size(roomToInstall)), "name a folder on a larger disk: --prefix DIR"
	}
	return doctor.OK, fmt.Sprintf("%s free in %s", size(free), dir), ""
}

func checkPorts(paths.Layout, context.Context) (doctor.Severity, string, string) {
	listen := config.Default().Server.Listen
	l, err := net.Listen("tcp", listen)
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		return doctor.Warn, err.Error(), "choose another address: practicectl install --listen 127.0.0.1:9443"
	}
	return doctor.OK, listen + " is free", ""
}

func checkPostgreSQL(_ paths.Layout, ctx context.Context) (doctor.Severity, string, string) {
	bin, err := pgcluster.Find(ctx, pgcluster.ProviderSystem, "")
	if err != nil {
		return doctor.Fail, err.Error(), pgcluster.AptLine
	}
	return doctor.OK, "PostgreSQL " + bin.Version + " in " + bin.Dir, ""
}
