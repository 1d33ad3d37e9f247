package svc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"practicectl/internal/uerr"
)

// SupervisorOptions tune a Supervisor. The zero value is what production uses.
type SupervisorOptions struct {
	FirstPause time.Duration // before the first restart after a crash; doubles each time; 0: half a second
	MaxPause   time.Duration // 0: 30 seconds
	CrashLimit int           // this many crashes within CrashWindow: give up; 0: 5
	CrashIn    time.Duration // 0: 10 minutes
	LogLimit   int64         // bytes of one log file; 0: 10 MiB
	Env        []string      // of every service, before its own; PATH among them
	// Changed is called whenever a process starts or ends, with its number (0: ended).
	Changed func(service string, pid int)
}

// Supervisor runs services as child processes: each in a process group of its own, started again after a crash with
// growing pauses, stopped with its own signal and killed when that takes too long. Children get stdin from the null
// device and no descriptor but their log.
type Supervisor struct {
	o  SupervisorOptions
	mu sync.Mutex
	up map[string]*keeper
}

// NewSupervisor returns a Supervisor with nothing running.
func NewSupervisor(o SupervisorOptions) *Supervisor {
	setDefault(&o.FirstPause, 500*time.Millisecond)
	setDefault(&o.MaxPause, 30*time.Second)
	setDefault(&o.CrashLimit, 5)
	setDefault(&o.CrashIn, 10*time.Minute)
	setDefault(&o.LogLimit, logLimit)
	if o.Changed == nil {
		o.Changed = func(string, int) {}
	}
	return &Supervisor{o: o, up: map[string]*keeper{}}
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// keeper keeps one service up until stop is closed.
type keeper struct {
	s      Service
	o      SupervisorOptions
	stop   chan struct{} // closed by Stop
	done   chan struct{} // closed when no process is left and none will come
	mu     sync.Mutex
	st     Status
	broken error // why it was given up
}

// Start starts s and waits until it is ready. Starting what runs already waits for its readiness. Error kinds:
// Precond for a service that cannot run, Failed when it crashed or was not ready in time; it is then stopped again.
func (v *Supervisor) Start(ctx context.Context, s Service) error {
	if err := s.Check(); err != nil {
		return uerr.New(uerr.Precond, "start", s.Name, err, "")
	}
	v.mu.Lock()
	k := v.up[s.Name]
	if k == nil || k.over() {
		k = &keeper{s: s, o: v.o, stop: make(chan struct{}), done: make(chan struct{})}
		k.st = Status{Name: s.Name, State: Starting, LogFile: s.LogFile}
		v.up[s.Name] = k
		go k.keep()
	}
	v.mu.Unlock()

	why := k.waitUp(ctx, s.readyWithin())
	if why == nil {
		return nil
	}
	if err := v.Stop(context.WithoutCancel(ctx), s.Name); err != nil {
		why = errors.Join(why, err)
	}
	return uerr.New(uerr.Failed, "start service", s.Name, why, "read why: tail -n 50 '"+s.LogFile+"'")
}

// Stop stops the service and waits until it is gone. Stopping what does not run is no error.
func (v *Supervisor) Stop(ctx context.Context, name string) error {
	v.mu.Lock()
	k := v.up[name]
	delete(v.up, name)
	v.mu.Unlock()
	if k == nil {
		return nil
	}
	close(k.stop)
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		return uerr.New(uerr.Failed, "stop service", name, ctx.Err(), "")
	}
}

// Status returns what a service is doing; Stopped for one that was never started.
func (v *Supervisor) Status(name string) Status {
	v.mu.Lock()
	k := v.up[name]
	v.mu.Unlock()
	if k == nil {
		return Status{Name: name, State: Stopped}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.st
}

// waitUp returns nil when the service runs and is ready.
func (k *keeper) waitUp(ctx context.Context, within time.Duration) error {
	giveUp := time.After(within)
	for {
		k.mu.Lock()
		state := k.st.State
		k.mu.Unlock()
		if state == Running {
			return nil
		}
		select {
		case <-k.done:
			return cmp.Or(k.failure(), errors.New("it was stopped"))
		case <-giveUp:
			return fmt.Errorf("not ready after %s", within)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (k *keeper) over() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

func (k *keeper) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.broken
}

func (k *keeper) set(fn func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn(&k.st)
	k.st.Since = time.Now().UTC()
}

// keep is the life of a service: run, and after a crash pause and run again, until stopped or crashed too often.
func (k *keeper) keep() {
	defer close(k.done)
	log, err := openLog(k.s.LogFile, k.o.LogLimit)
	if err != nil {
		k.giveUp(err)
		return
	}
	defer log.Close()
	var crashes []time.Time
	pause := k.o.FirstPause
	for {
		began := time.Now()
		exit, stopped := k.once(log)
		if stopped {
			k.set(func(s *Status) { s.State, s.PID, s.LastExit = Stopped, 0, exit })
			return
		}
		now := time.Now()
		crashes = append(crashes, now)
		for len(crashes) > 0 && now.Sub(crashes[0]) > k.o.CrashIn {
			crashes = crashes[1:]
		}
		if now.Sub(began) > k.o.MaxPause {
			pause = k.o.FirstPause // it had been well for a while
		}
		if len(crashes) >= k.o.CrashLimit {
			k.set(func(s *Status) { s.LastExit = exit })
			k.giveUp(fmt.Errorf("ended %d times within %s, last with %s", len(crashes), k.o.CrashIn, exit))
			return
		}
		k.set(func(s *Status) { s.State, s.PID, s.LastExit = Waiting, 0, exit })
		select {
		case <-k.stop:
			k.set(func(s *Status) { s.State = Stopped })
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, k.o.MaxPause)
		k.set(func(s *Status) { s.State = Starting; s.Restarts++ })
	}
}

func (k *keeper) giveUp(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.broken = err
	k.st.State, k.st.PID, k.st.Since = Broken, 0, time.Now().UTC()
}

// once runs the program to its end and says how it ended and whether we asked for it.
func (k *keeper) once(log *logFile) (exit string, stopped bool) {
	cmd := exec.Command(k.s.Command[0], k.s.Command[1:]...)
	cmd.Env = append(slices.Clone(k.o.Env), k.s.Env...)
	cmd.Dir = k.s.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 5 * time.Second // a left-over grandchild may hold the log pipe open
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return err.Error(), false
	}
	pid := cmd.Process.Pid
	k.set(func(s *Status) { s.PID = pid })
	k.o.Changed(k.s.Name, pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	probing, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		if waitReady(probing, k.s.Ready) == nil {
			k.set(func(s *Status) {
				if s.PID == pid { // it may have ended since
					s.State = Running
				}
			})
		}
	}()
	select {
	case err := <-ended:
		exit = describe(err)
	case <-k.stop:
		stopped = true
		exit = k.end(pid, ended)
	}
	_ = killGroup(pid) // the leader is gone; what it left behind must not meet its successor
	k.o.Changed(k.s.Name, 0)
	return exit, stopped
}

// end stops the process: politely, then for good.
func (k *keeper) end(pid int, ended <-chan error) string {
	_ = signalLeader(pid, k.s.StopSignal) // when it cannot be signalled, the kill below ends it
	select {
	case err := <-ended:
		return describe(err)
	case <-time.After(k.s.stopTimeout()):
		_ = killGroup(pid)
		return describe(<-ended) + ", killed after " + k.s.stopTimeout().String()
	}
}

func describe(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
