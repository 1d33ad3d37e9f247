package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"practicectl/installer"
	"practicectl/internal/buildinfo"
	"practicectl/internal/nodeid"
	"practicectl/internal/paths"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
)

func (a *app) agentRunCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "run", Short: "Supervise the services and scheduled jobs of the instance",
		Long: `Runs in the foreground until it is stopped: it starts the services that should run, starts them again when they crash,
and runs the scheduled jobs. install starts it in the background; "schedule install agent" starts it with the machine. An
update that a power cut interrupted is brought to its end first. One agent at a time runs for an instance. When it ends,
it stops the services.`,
		Examples: []string{"practicectl agent run --prefix ~/practice", "practicectl agent run -i main"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.Locked, uerr.Precond, uerr.Interrupted, uerr.Terminated},
		NoJSON:   "it runs until it is stopped",
		Run: func(ctx context.Context, r *run, _ []string) error {
			if err := installer.RefuseRoot(os.Geteuid(), r.asUser()); err != nil {
				return err
			}
			l, err := r.layout()
			if err != nil {
				return err
			}
			o, err := r.agentOptions(l)
			if err != nil {
				return err
			}
			if r.dryRun() {
				r.say("would run the services and jobs of %s in %s", l.Instance, l.Prefix)
				return nil
			}
			if err := svc.RunAgent(ctx, o); err != nil {
				return err
			}
			return context.Cause(ctx) // nil when a client asked it to stop
		},
	})
}

func (r *run) agentOptions(l paths.Layout) (svc.AgentOptions, error) {
	id, err := nodeid.Read(nodeid.Path(l))
	if err != nil {
		return svc.AgentOptions{}, uerr.New(uerr.Precond, "read", nodeid.Path(l), err, "remove the file, then: practicectl install")
	}
	var env []string
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "SystemRoot", "TEMP", "TMP",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if v := r.app.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return svc.AgentOptions{
		Socket: l.AgentSocket(), Lock: l.Lock("agent"), Dir: filepath.Join(l.Var(), "agent"), JobLogs: filepath.Join(l.Log(), "jobs"),
		Version: buildinfo.Version(), NodeID: id, Now: r.now, Location: r.location(), Supervisor: svc.SupervisorOptions{Env: env},
		Note: r.note, Started: func(ctx context.Context) {
			r.finishUpdate(ctx, r.note)
			if err := r.ensureStream(ctx); err != nil && ctx.Err() == nil {
				r.note("the stream of the log: %v", err)
			}
		},
	}, nil
}

// note writes one line into the agent's own log.
func (r *run) note(format string, args ...any) {
	r.say("%s %s", r.now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}

// location is the time zone of the practice; that of the machine while there is no configuration.
func (r *run) location() *time.Location {
	if f, err := r.config(); err == nil {
		if loc, err := time.LoadLocation(f.Practice.Timezone); err == nil {
			return loc
		}
	}
	return time.Local
}
