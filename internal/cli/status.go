package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/doctor"
	"practicectl/internal/svc"
	"practicectl/internal/svc/schedule"
	"practicectl/internal/uerr"
)

// statusReport is the one screen that says whether the practice is safe tonight.
type statusReport struct {
	Level       doctor.Severity  `json:"level"`
	Reasons     []string         `json:"reasons"` // why the level is not "ok"
	Next        string           `json:"next"`    // the most useful command to type now
	Practice    string           `json:"practice"`
	URL         string           `json:"url"`
	Workstation bool             `json:"workstation,omitempty"` // only client and modules are installed
	Version     string           `json:"version"`
	Agent       *svc.AgentInfo   `json:"agent,omitempty"`
	Services    []svc.Status     `json:"services"`
	Ready       bool             `json:"ready"` // the core server answers /readyz
	Backup      *lastRun         `json:"backup,omitempty"`
	Verify      *lastRun         `json:"verify,omitempty"`
	Stream      *streamStatus    `json:"stream,omitempty"` // of the write-ahead log
	Weaker      []string         `json:"backup_weaker"`    // what the store of the backups leaves open
	Copies      []copyStatus     `json:"copies,omitempty"`
	KeyCheck    *lastRun         `json:"key_check,omitempty"` // that an identity opens the backups
	Drill       *lastRun         `json:"drill,omitempty"`     // the last one that this machine did, or saw in the store
	Schedule    []schedule.Entry `json:"schedule"`
	Late        []lateJob        `json:"late"` // scheduled jobs that did not run as they should
	Notify      *lastRun         `json:"notify,omitempty"`
	CertEnds    time.Time        `json:"certificate_ends,omitzero"`

	now     time.Time
	overdue bool // something has not succeeded for too long
	gap     bool // log is missing in the repository
}

// How old the last good backup may be.
const (
	backupLate    = 26 * time.Hour
	backupOverdue = 50 * time.Hour
)

func (a *app) statusCmd() *cobra.Command {
	var nagios, prom bool
	return a.leaf(leaf{
		Use: "status", Short: "Say in one screen whether the practice is safe",
		Long: `Shows what runs, which version it is, when the last backup and its check succeeded, what runs next and when the
certificate ends. It looks at this machine only, so it also works when the network does not. The last line is the most
useful command to type now.

Exit code 0: all is well, or only a warning. 21: the last backup is too old, or a scheduled job is overdue. 1: something does
not run. With --nagios it is one line for a monitoring system and the codes are its own: 0 OK, 1 warning, 2 critical, 3
unknown. With --prom it is the figures in Prometheus' text format.`,
		Examples: []string{"practicectl status", "practicectl status --prefix ~/practice --json", "practicectl status --nagios"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Overdue, uerr.WALGap},
		Flags: func(f *pflag.FlagSet) {
			f.BoolVar(&nagios, "nagios", false, "one line and the exit codes of Nagios plug-ins")
			f.BoolVar(&prom, "prom", false, "the figures in Prometheus' text format")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			if prom {
				l, err := r.layout()
				if err != nil {
					return err
				}
				from, err := r.metrics(l)
				if err != nil {
					return err
				}
				return encodeMetrics(r.app.Out, from)
			}
			s, err := r.status(ctx)
			if nagios {
				return showNagios(r.app.Out, s, err)
			}
			if err != nil {
				return err
			}
			if err := r.result(s, func(w io.Writer) { showStatus(w, s, r.now()) }); err != nil {
				return err
			}
			return s.verdict()
		},
	})
}

// verdict is the error that the exit code stands for.
func (s *statusReport) verdict() error {
	if s.Level != doctor.Fail {
		return nil
	}
	kind := uerr.Failed
	switch {
	case s.Ready && s.overdue:
		kind = uerr.Overdue
	case s.Ready && s.gap:
		kind = uerr.WALGap
	}
	return uerr.New(kind, "the practice is not safe", "", errors.New(s.Reasons[0]), s.Next)
}

func (r *run) status(ctx context.Context) (*statusReport, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	cfg, err := r.config()
	if err != nil {
		return nil, err
	}
	s := &statusReport{now: r.now(), Practice: cfg.Practice.Name, URL: cfg.Server.URL, Version: installedVersion(l), Reasons: []string{}, Weaker: []string{}, Services: []svc.Status{}, Schedule: []schedule.Entry{}, Late: []lateJob{}}
	if s.Workstation = isWorkstation(l); s.Workstation {
		s.Next = "practicectl update check"
		return s, nil
	}
	agent := svc.Open(l)
	if info, err := agent.Info(ctx); err == nil {
		s.Agent = &info
		if s.Services, err = agent.List(ctx); err != nil {
			return nil, err
		}
		for _, one := range s.Services {
			if one.State != svc.Running {
				s.note(doctor.Fail, fmt.Sprintf("the service %s is %s", one.Name, one.State), "practicectl agent run")
			}
		}
	} else {
		s.note(doctor.Fail, "the services are not supervised: the agent does not run", "practicectl agent run")
	}
	if s.Ready = (&services{l: l, cfg: cfg, manager: agent, now: r.now}).probe(ctx) == nil; !s.Ready {
		s.note(doctor.Fail, "the core server is not ready", "practicectl doctor")
	}
	s.backups(l, cfg, r.now())
	if cfg.Backup.Store != "" {
		s.stream(l, cfg, r.now())
		s.drills(l, r.now())
	}
	if ways, err := r.scheduleBackends(ctx, l); err == nil {
		for _, way := range ways {
			if entries, err := way.List(ctx); err == nil {
				s.Schedule = append(s.Schedule, entries...)
			}
		}
	}
	if len(s.Schedule) == 0 {
		s.note(doctor.Warn, "nothing runs by itself at night", "practicectl schedule install")
	}
	s.lateness(ctx, r, l)
	s.CertEnds, err = certificateEnd(l)
	if left := s.CertEnds.Sub(r.now()); err == nil && left < 14*24*time.Hour {
		s.note(doctor.Warn, fmt.Sprintf("the server's certificate ends in %d days", int(left.Hours()/24)), "practicectl install")
	}
	if s.Next == "" {
		s.Next = "practicectl update check"
	}
	return s, nil
}

// note raises the level and keeps the first command as the one to type.
func (s *statusReport) note(level doctor.Severity, reason, next string) {
	if level > s.Level {
		s.Level, s.Next = level, next // the worst finding comes first
		s.Reasons = append([]string{reason}, s.Reasons...)
		return
	}
	s.Reasons = append(s.Reasons, reason)
	if s.Next == "" {
		s.Next = next
	}
}

func showStatus(w io.Writer, s *statusReport, now time.Time) {
	word := map[doctor.Severity]string{doctor.OK: "OK", doctor.Warn: "WARN", doctor.Fail: "FAIL"}[s.Level]
	if len(s.Reasons) > 0 {
		word += ": " + s.Reasons[0]
	}
	fmt.Fprintf(w, "%s\n", word)
	for _, reason := range s.Reasons[min(1, len(s.Reasons)):] {
		fmt.Fprintf(w, "  also: %s\n", reason)
	}
	fmt.Fprintln(w)
	if s.Workstation {
		table(w, [][]string{{"workstation", "client and modules"}, {"version", s.Version}})
		fmt.Fprintf(w, "\nnext: %s\n", s.Next)
		return
	}
	rows := [][]string{{"practice", s.Practice}, {"address", s.URL}, {"version", s.Version}}
	for _, one := range s.Services {
		text := string(one.State)
		if !one.Since.IsZero() {
			text += " for " + span(now.Sub(one.Since))
		}
		rows = append(rows, []string{one.Name, text})
	}
	for _, weaker := range s.Weaker {
		what, _, _ := strings.Cut(weaker, ":")
		rows = append(rows, []string{"backups", what})
	}
	rows = append(rows, []string{"last backup", lastText(s.Backup, now)}, []string{"last check of it", lastText(s.Verify, now)})
	if s.Stream != nil {
		rows = append(rows, []string{"log", streamText(s.Stream)})
	}
	for _, one := range s.Copies {
		rows = append(rows, []string{"last copy to " + one.Name, lastText(one.Last, now)})
	}
	rows = append(rows, []string{"last try of a key", lastText(s.KeyCheck, now)}, []string{"last drill", lastText(s.Drill, now)})
	for _, e := range s.Schedule {
		if !e.Next.IsZero() {
			rows = append(rows, []string{"next " + e.Name, e.Next.Format("2006-01-02 15:04")})
		}
	}
	if !s.CertEnds.IsZero() {
		rows = append(rows, []string{"certificate until", s.CertEnds.Format("2006-01-02")})
	}
	table(w, rows)
	fmt.Fprintf(w, "\nnext: %s\n", s.Next)
}

func lastText(last *lastRun, now time.Time) string {
	switch {
	case last == nil:
		return "never"
	case last.OK:
		return span(now.Sub(last.Succeeded)) + " ago, " + last.Detail
	case last.Succeeded.IsZero():
		return "failed: " + last.Error
	}
	return fmt.Sprintf("%s ago; since then it failed: %s", span(now.Sub(last.Succeeded)), last.Error)
}

// span renders a duration for people, in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
