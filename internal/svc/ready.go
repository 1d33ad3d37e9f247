package svc

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// waitReady returns nil when what [Service.Ready] names is true. Without it a process that lives a little is ready.
func waitReady(ctx context.Context, ready string) error {
	pause := 20 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		if isReady(ctx, ready) {
			return nil
		}
		pause = min(pause*3/2, 500*time.Millisecond)
	}
}

func isReady(ctx context.Context, ready string) bool {
	network, where, _ := strings.Cut(ready, ":")
	switch network {
	case "":
		return true
	case "postgres":
		socket, err := postgresSocket(where)
		if err != nil {
			return false
		}
		network, where = "unix", socket
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, network, where)
	return err == nil && conn.Close() == nil
}

// postgresSocket returns the socket of the PostgreSQL in a data folder that lets people in. The socket alone does not tell:
// it answers while the database still recovers. What a killed server left in its file is told from a running one by the
// socket, which nobody answers then.
func postgresSocket(data string) (string, error) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 8 || strings.TrimSpace(lines[7]) != "ready" {
		return "", fmt.Errorf("PostgreSQL in %s is not ready", data)
	}
	return filepath.Join(lines[4], ".s.PGSQL."+lines[3]), nil
}
