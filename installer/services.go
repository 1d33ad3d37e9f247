package installer

import (
	"net"
	"path/filepath"
	"strconv"
	"time"

	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
)

// databaseDefinition is the definition of the database service. Crash recovery may take long and is waited for.
func databaseDefinition(l paths.Layout, c *pgcluster.Cluster) svc.Service {
	return svc.Service{Name: svc.Database, Command: c.Foreground(), Dir: l.Var(), StopSignal: "INT", StopTimeout: 10 * time.Minute,
		ReadyWithin: 10 * time.Minute, Ready: "postgres:" + c.Data, LogFile: filepath.Join(l.Log(), "database.log"),
		Env: []string{"LC_ALL=C", "LANG=C", "TZ=UTC"}}
}

// ServerService is the definition of the core server's service. In maintenance only its probes answer.
func ServerService(l paths.Layout, program, listen string, maintenance bool) svc.Service {
	command := []string{program, "serve", "--prefix", l.Prefix, "--instance", l.Instance}
	if maintenance {
		command = append(command, "--maintenance")
	}
	return svc.Service{Name: svc.Server, Command: command, Dir: l.Var(), StopSignal: "TERM", StopTimeout: time.Minute, ReadyWithin: 2 * time.Minute,
		Ready: "tcp:" + Local(listen), LogFile: filepath.Join(l.Log(), "server.log"), After: []string{svc.Database}}
}

// Local turns the address that a server listens on into one that this machine reaches it at.
func Local(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

func portOf(listen string) int {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}
