package svc

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"practicectl/internal/lockfile"
	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

// AgentOptions say where an agent keeps its things.
type AgentOptions struct {
	Socket     string // unix socket, mode 0600
	Lock       string // one agent at a time
	Dir        string // state
	JobLogs    string // folder of the jobs' logs
	Version    string
	NodeID     string // spreads the jobs of several hosts
	Now        func() time.Time
	Location   *time.Location
	Supervisor SupervisorOptions
	Note       func(format string, args ...any) // for the agent's own log
	// Started is called once, when what should run runs and the socket answers. Optional.
	Started func(ctx context.Context)
}

// RunAgent supervises the installed services and runs the scheduled jobs until ctx ends or a client asks it to stop.
// Services that an agent before it was told to start come up again; processes it left behind are ended first. All
// services are stopped before it returns. Error kinds: Locked when an agent runs already, Precond.
func RunAgent(ctx context.Context, o AgentOptions) (err error) {
	ctx, lock, err := only(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	state, err := loadState(o.Dir)
	if err != nil {
		return err
	}
	state.endLeftovers(time.Minute)
	o.Supervisor.Changed = state.changed
	a := &agent{o: o, state: state, sup: NewSupervisor(o.Supervisor)}
	if a.jobs, err = schedule.NewRunner(schedule.RunnerOptions{State: filepath.Join(o.Dir, "jobs.json"), NodeID: o.NodeID,
		Now: o.Now, Location: o.Location, Run: a.runJob}); err != nil {
		return err
	}
	listener, err := listenPrivately(o.Socket)
	if err != nil {
		return uerr.New(uerr.Precond, "listen on", o.Socket, err, "")
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	// Requests end with the agent: a start that waits for a slow service must not keep it from stopping.
	server := &http.Server{Handler: a.routes(stop), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return running }}
	var wg sync.WaitGroup
	served := make(chan error, 1)
	wg.Go(func() { served <- server.Serve(listener); stop() })
	wg.Go(func() {
		a.startWanted(running)
		if o.Started != nil {
			o.Started(running)
		}
		a.jobs.Loop(running) // only now: a backup that was missed needs the database
	})
	o.Note("agent %s runs, pid %d", o.Version, os.Getpid())
	<-running.Done()
	o.Note("agent stops")
	// New requests are refused first, so that nothing starts while everything stops.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = server.Shutdown(grace) // a client that hangs does not keep the agent
	err = a.stopAll(context.WithoutCancel(ctx))
	wg.Wait()
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}

// only makes this agent the only one. One that answers is left alone; one that does not is on its way out, such as after
// a kill, and is waited for.
func only(ctx context.Context, o AgentOptions) (context.Context, *lockfile.Lock, error) {
	client := NewAgent(o.Socket)
	for end := time.Now().Add(10 * time.Second); ; {
		held, lock, err := lockfile.Acquire(ctx, o.Lock, "agent run", 0)
		if uerr.KindOf(err) != uerr.Locked || time.Now().After(end) {
			return held, lock, err
		}
		if _, there := client.Info(ctx); there == nil {
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// listenPrivately makes the socket appear with its final mode. The lock is held: a socket found there is stale.
func listenPrivately(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	for _, p := range []string{path, path + "~"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + "~", Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = errors.Join(os.Chmod(path+"~", 0o600), os.Rename(path+"~", path))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &socket{l, path}, nil
}

type socket struct {
	*net.UnixListener
	path string
}

func (s *socket) Close() error { return errors.Join(os.Remove(s.path), s.UnixListener.Close()) }

type agent struct {
	o     AgentOptions
	state *agentState
	sup   *Supervisor
	jobs  *schedule.Runner
	one   sync.Mutex // starts and stops come one after the other
}

func (a *agent) routes(stop func()) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, fn func(rw http.ResponseWriter, req *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, req *http.Request) {
			v, err := fn(rw, req)
			answer(rw, v, err)
		})
	}
	byName := func(pattern string, fn func(ctx context.Context, name string) error) {
		handle(pattern, func(_ http.ResponseWriter, req *http.Request) (any, error) {
			a.one.Lock()
			defer a.one.Unlock()
			return nil, fn(req.Context(), req.PathValue("name"))
		})
	}
	handle("GET /v1/info", func(http.ResponseWriter, *http.Request) (any, error) {
		return AgentInfo{PID: os.Getpid(), Version: a.o.Version}, nil
	})
	handle("POST /v1/shutdown", func(http.ResponseWriter, *http.Request) (any, error) { stop(); return nil, nil })
	handle("GET /v1/services", func(http.ResponseWriter, *http.Request) (any, error) { return a.list(), nil })
	handle("GET /v1/services/{name}", func(_ http.ResponseWriter, req *http.Request) (any, error) { return a.status(req.PathValue("name")) })
	handle("PUT /v1/services/{name}", func(rw http.ResponseWriter, req *http.Request) (any, error) {
		var s Service
		if err := readBody(rw, req, &s); err != nil {
			return nil, err
		}
		if err := s.Check(); err != nil {
			return nil, uerr.New(uerr.Precond, "install service", s.Name, err, "")
		}
		return nil, a.state.change(func() { a.state.Services[s.Name] = s })
	})
	byName("DELETE /v1/services/{name}", a.remove)
	byName("POST /v1/services/{name}/start", a.start)
	byName("POST /v1/services/{name}/stop", a.stop)
	byName("POST /v1/services/{name}/restart", func(ctx context.Context, name string) error {
		if err := a.stop(ctx, name); err != nil {
			return err
		}
		return a.start(ctx, name)
	})
	handle("GET /v1/jobs", func(_ http.ResponseWriter, req *http.Request) (any, error) { return a.jobs.List(req.Context()) })
	handle("PUT /v1/jobs/{name}", func(rw http.ResponseWriter, req *http.Request) (any, error) {
		var j schedule.Job
		if err := readBody(rw, req, &j); err != nil {
			return nil, err
		}
		changed, err := a.jobs.Install(req.Context(), j)
		return changedReply{changed}, err
	})
	handle("DELETE /v1/jobs/{name}", func(_ http.ResponseWriter, req *http.Request) (any, error) {
		changed, err := a.jobs.Remove(req.Context(), req.PathValue("name"))
		return changedReply{changed}, err
	})
	return mux
}

func (a *agent) start(ctx context.Context, name string) error {
	s, err := a.state.service(name)
	if err != nil {
		return err
	}
	if err := a.sup.Start(ctx, s); err != nil {
		return err
	}
	return a.state.want(name, true)
}

func (a *agent) stop(ctx context.Context, name string) error {
	if _, err := a.state.service(name); err != nil {
		return err
	}
	if err := a.state.want(name, false); err != nil {
		return err
	}
	return a.sup.Stop(context.WithoutCancel(ctx), name)
}

func (a *agent) remove(ctx context.Context, name string) error {
	if err := a.sup.Stop(context.WithoutCancel(ctx), name); err != nil {
		return err
	}
	return errors.Join(a.state.want(name, false), a.state.change(func() { delete(a.state.Services, name) }))
}

func (a *agent) status(name string) (Status, error) {
	s, err := a.state.service(name)
	if err != nil {
		return Status{}, err
	}
	st := a.sup.Status(name)
	st.LogFile = s.LogFile
	return st, nil
}

func (a *agent) list() []Status {
	all := []Status{}
	for _, name := range a.state.names() {
		if st, err := a.status(name); err == nil { // else removed just now
			all = append(all, st)
		}
	}
	return all
}

// startWanted brings up what ran when the agent before this one ended.
func (a *agent) startWanted(ctx context.Context) {
	a.one.Lock()
	defer a.one.Unlock()
	for _, name := range a.state.names() {
		if !a.state.wanted(name) || ctx.Err() != nil {
			continue
		}
		s, err := a.state.service(name)
		if err == nil {
			err = a.sup.Start(ctx, s)
		}
		if err != nil {
			a.o.Note("service %s did not come up: %v", name, err)
		}
	}
}

// stopAll stops every service, those that others need last. What should run stays wanted for the next agent.
func (a *agent) stopAll(ctx context.Context) error {
	a.one.Lock()
	defer a.one.Unlock()
	var errs error
	for _, name := range slices.Backward(a.state.names()) {
		errs = errors.Join(errs, a.sup.Stop(ctx, name))
	}
	return errs
}

// runJob runs a scheduled command with its output in its own log.
func (a *agent) runJob(ctx context.Context, j schedule.Job) int {
	log, err := openLog(filepath.Join(a.o.JobLogs, j.Name+".log"), logLimit)
	if err != nil {
		a.o.Note("job %s: %v", j.Name, err)
		return uerr.ExitCode(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, j.Command[0], j.Command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	detach(cmd)
	cmd.Cancel = func() error { return signalLeader(cmd.Process.Pid, "TERM") }
	cmd.WaitDelay = time.Minute
	a.o.Note("job %s starts", j.Name)
	err = cmd.Run()
	a.o.Note("job %s: %s", j.Name, describe(err))
	if cmd.ProcessState == nil {
		return uerr.ExitCode(err)
	}
	return cmd.ProcessState.ExitCode()
}
