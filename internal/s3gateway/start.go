package s3gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// Options say how to run the server.
type Options struct {
	Binary    string // from [Find]
	Dir       string // absolute; data, versions, accounts and the log lie below it
	Port      int    // on 127.0.0.1; 0: a free one
	AccessKey secret.Text
	SecretKey secret.Text
	CertFile  string // with KeyFile: serves HTTPS
	KeyFile   string
	Outlive   bool // goes on when the calling process ends
}

// Gateway is a running server.
type Gateway struct {
	Endpoint string // "http://127.0.0.1:PORT"
	PID      int

	done chan struct{} // closed when the process has ended
	proc *os.Process
}

// Start runs the server as the current user and returns when it answers. Error kind: Precond.
func Start(ctx context.Context, o Options) (*Gateway, error) {
	for _, sub := range []string{"data", "versions", "iam"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, sub), 0o755); err != nil {
			return nil, uerr.New(uerr.Precond, "start the S3 server", o.Dir, err, "")
		}
	}
	var last error
	for range 5 { // a free port may be taken by another program before the server has it
		port := o.Port
		if port == 0 {
			var err error
			if port, err = freePort(); err != nil {
				return nil, uerr.New(uerr.Precond, "start the S3 server", o.Dir, err, "")
			}
		}
		g, err := start(ctx, o, port)
		if err == nil {
			return g, nil
		}
		last = err
		if o.Port != 0 || ctx.Err() != nil {
			break
		}
	}
	return nil, uerr.New(uerr.Precond, "start the S3 server", o.Dir, last, "see "+logPath(o.Dir))
}

func start(ctx context.Context, o Options, port int) (*Gateway, error) {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	log, err := os.OpenFile(logPath(o.Dir), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	args := []string{"--port", addr, "--iam-dir", filepath.Join(o.Dir, "iam"), "--quiet", "--keep-alive", "--health", "/health"}
	scheme := "http"
	if o.CertFile != "" {
		scheme = "https"
		args = append(args, "--cert", o.CertFile, "--key", o.KeyFile)
	}
	args = append(args, "posix", "--versioning-dir", filepath.Join(o.Dir, "versions"), filepath.Join(o.Dir, "data"))
	cmd := exec.Command(o.Binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = o.Dir, log, log
	cmd.Env = append(cmd.Environ(), "ROOT_ACCESS_KEY="+o.AccessKey.Reveal(), "ROOT_SECRET_KEY="+o.SecretKey.Reveal())
	cmd.SysProcAttr = processAttributes(o.Outlive)

	g := &Gateway{Endpoint: scheme + "://" + addr, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel's "end with the parent" is about the thread that started the process: keep it.
		runtime.LockOSThread()
		err := errors.Join(cmd.Start(), log.Close())
		started <- err
		if err == nil {
			_ = cmd.Wait() // its exit is told by done; how it ended is in the log
		}
		close(g.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	g.proc, g.PID = cmd.Process, cmd.Process.Pid
	if err := g.waitReady(ctx, addr); err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

func (g *Gateway) waitReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		select {
		case <-g.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
		if answers(ctx, g.Endpoint, addr) {
			select {
			case <-g.done: // it was another program that answered, on a port that ours did not get
				return errors.New("its port is taken")
			case <-time.After(20 * time.Millisecond):
				return nil
			}
		}
	}
}

// answers asks for the health page; for HTTPS an open port is enough.
func answers(ctx context.Context, endpoint, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if endpoint != "http://"+addr {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		return err == nil && c.Close() == nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Stop ends the server and waits for it: politely for five seconds, then by force. It may be called twice.
func (g *Gateway) Stop() error {
	if err := g.proc.Signal(stopSignal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-g.done:
		return nil
	case <-time.After(5 * time.Second):
	}
	if err := g.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-g.done
	return nil
}

func logPath(dir string) string { return filepath.Join(dir, "versitygw.log") }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(errors.New("the system gave no TCP port"), l.Close())
	}
	return addr.Port, l.Close()
}
