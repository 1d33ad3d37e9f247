package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"practicectl/internal/uerr"
)

// EndServer ends the server that runs on a data folder, if one does: what a killed process left running. It is for copies that
// nobody works with; the practice's own database is stopped by [Cluster.Stop].
func EndServer(ctx context.Context, data string) error {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return uerr.New(uerr.Precond, "look for a server in", data, err, "run the command as the account that owns the folder")
	}
	if p := parsePIDFile(string(raw)); p.pid != 0 && p.socketDir != "" {
		return EndServerAt(ctx, p.socket())
	}
	return nil
}

// EndServerAt ends the server that answers on a socket, and returns when it is gone. A number in a file alone may belong to
// another process by now. Error kind: Failed.
func EndServerAt(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for pid := 0; ; {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		switch {
		case err == nil:
			if pid, err = serverOf(socket); err == nil {
				err = endNow(pid)
			}
			if err := errors.Join(err, conn.Close()); err != nil {
				return uerr.New(uerr.Failed, "end the server at", socket, err, "end it by hand, then run the same command again")
			}
		case pid == 0 || !alive(pid):
			return nil // nobody is there, or not any more
		}
		select {
		case <-ctx.Done():
			return uerr.New(uerr.Failed, "end the server at", socket, context.Cause(ctx), "end it by hand, then run the same command again")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// serverOf reads the number of the server that holds a socket from the lock beside it.
func serverOf(socket string) (int, error) {
	raw, err := os.ReadFile(socket + ".lock")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err == nil && pid <= 1 {
		err = fmt.Errorf("%d is no server", pid)
	}
	return pid, err
}
