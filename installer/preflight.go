package installer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
)

const (
	needServer      = 1 << 30 // bytes: cluster, its log, two versions of every component
	needWorkstation = 300 << 20
	wantMemory      = 2 << 30
)

// preflight refuses what cannot work before anything is changed. Error kinds: Precond, NoSpace.
func (i *Installer) preflight(ctx context.Context, d Desired) error {
	if err := RefuseRoot(i.o.EUID, i.o.RootHint); err != nil {
		return err
	}
	if err := i.CheckPrefix(); err != nil {
		return err
	}
	need := int64(needWorkstation)
	if d.hasServer() {
		need = needServer
	}
	if _, err := os.Stat(i.o.Layout.Receipts()); err == nil {
		need = 0 // it is installed: what is added is checked while it is staged
	}
	if free, err := i.o.Free(existing(i.o.Layout.Prefix)); err == nil && free < need {
		return uerr.New(uerr.NoSpace, "install into", i.o.Layout.Prefix, fmt.Errorf("%d MiB are free, %d MiB are needed", free>>20, need>>20),
			"free space there, or choose another folder with --prefix")
	}
	if !d.hasServer() {
		return nil
	}
	if have, ok := memory(); ok && have < wantMemory {
		i.o.Progress.Warn("this machine has %d MiB of memory; a server wants %d", have>>20, int64(wantMemory)>>20)
	}
	return i.ports(ctx, d)
}

// RefuseRoot refuses to go on as root, which would own files that the services cannot write. hint is the line to type
// instead. Error kind: Precond.
func RefuseRoot(euid int, hint string) error {
	if euid != 0 {
		return nil
	}
	return uerr.New(uerr.Precond, "", "", errors.New("refused for root: PostgreSQL and the services must not run as root"), hint)
}

// CheckPrefix makes the prefix, or says which one would work. Error kind: Precond.
func (i *Installer) CheckPrefix() error {
	err := os.MkdirAll(i.o.Layout.Opt(), 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(i.o.Layout.Opt(), ".writable-*"); err == nil {
			return errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	return uerr.New(uerr.Precond, "install into", i.o.Layout.Prefix, err, `choose a folder of your own: --prefix "$HOME/practice"`)
}

// ports refuses addresses that somebody else holds. Our own running services hold theirs rightly.
func (i *Installer) ports(ctx context.Context, d Desired) error {
	if !i.ours(ctx, svc.Server) {
		l, err := net.Listen("tcp", d.Listen)
		if err != nil {
			return uerr.New(uerr.Precond, "listen on", d.Listen, err, "choose another address: --listen 127.0.0.1:"+strconv.Itoa(portOf(d.Listen)+1))
		}
		if err := l.Close(); err != nil {
			return cannot("listen on", d.Listen, err)
		}
	}
	if i.ours(ctx, svc.Database) {
		return nil
	}
	c := pgcluster.At(i.o.Layout, pgcluster.Binaries{}, d.PGPort)
	if err := c.CheckPort(ctx); err != nil {
		return uerr.New(uerr.Precond, "use database port", strconv.Itoa(d.PGPort), fmt.Errorf("another server answers on %s", c.Socket()), "choose another one: --db-port "+strconv.Itoa(d.PGPort+1))
	}
	return nil
}

// ours reports whether the service was installed before or runs: then it may well be the one that answers.
func (i *Installer) ours(ctx context.Context, service string) bool {
	if _, err := os.Stat(i.serviceFile(service)); err == nil {
		return true
	}
	st, err := i.o.Services.Status(ctx, service)
	return err == nil && st.State != svc.Stopped && st.State != svc.Broken
}

// existing is path or its nearest parent that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}
