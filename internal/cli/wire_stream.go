package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/backup/stream"
	"practicectl/internal/config"
	"practicectl/internal/doctor"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
)

// reopenEvery is how often a stream opens the repository again and with it looks at the configuration. New keys of the owner end a
// stream at once.
const reopenEvery = time.Hour

// streamDead is how old the last sign of life of a stream may be.
const streamDead = time.Minute

// streamDir keeps the state and the spool of the stream of an instance.
func streamDir(l paths.Layout) string { return filepath.Join(l.Var(), "stream") }

func (r *run) streamOptions() (backup.StreamOptions, error) {
	l, err := r.layout()
	if err != nil {
		return backup.StreamOptions{}, err
	}
	c, err := r.config()
	if err != nil {
		return backup.StreamOptions{}, err
	}
	spool, err := config.ParseSize(c.Backup.Spool)
	if err != nil {
		return backup.StreamOptions{}, uerr.New(uerr.Config, "read backup.spool", c.Backup.Spool, err, `write it like "4GiB"`)
	}
	cluster := pgcluster.At(l, pgcluster.Binaries{}, c.Database.Port)
	return backup.StreamOptions{ConnString: cluster.ConnString(pgcluster.RoleBackup, c.Database.Name), Dir: streamDir(l), Spool: spool,
		Window: time.Duration(c.Backup.Keep.LogDays) * 24 * time.Hour, Now: r.now, Warn: r.note}, nil
}

// keepStreaming streams until ctx ends. A store that is away is waited for: the slot keeps the log meanwhile.
func (r *run) keepStreaming(ctx context.Context) error {
	said := false
	for pause := time.Second; ; {
		err := r.streamFor(ctx, reopenEvery)
		switch kind := uerr.KindOf(err); {
		case ctx.Err() != nil:
			if err == nil || errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case err == nil, kind == uerr.WALGap, errors.Is(err, repo.ErrNewSettings): // it was said, and the stream goes on
			pause, said = time.Second, false
			continue
		case kind != uerr.Unreachable:
			return err
		}
		if !said {
			r.note("%v", err)
			said = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 30*time.Second)
	}
}

// streamFor streams for a while.
func (r *run) streamFor(ctx context.Context, d time.Duration) error {
	o, err := r.streamOptions()
	if err != nil {
		return err
	}
	repository, c, err := r.openForWriting(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return backup.Stream(ctx, repository, c.Backup.Recipients, o)
}

// setStream writes backup.stream and tells the agent.
func (r *run) setStream(ctx context.Context, on bool) error {
	c, err := r.config()
	if err != nil {
		return err
	}
	if on {
		if _, err := r.hostKeys(); err != nil {
			return err
		}
	}
	word := map[bool]string{true: "on", false: "off"}[on]
	if r.dryRun() {
		r.say("would switch the stream of the log %s", word)
		return nil
	}
	path, err := r.configPath()
	if err != nil {
		return err
	}
	if c.Backup.Stream != on {
		c.Backup.Stream = on
		if err := config.Save(path, c); err != nil {
			return err
		}
	}
	if err := r.ensureStream(ctx); err != nil {
		if uerr.KindOf(err) == uerr.Unreachable {
			r.say("The agent does not run here; it takes this up when it starts: practicectl agent run")
			return nil
		}
		return err
	}
	r.say("The stream of the log is %s. Look: practicectl status", word)
	return nil
}

// ensureStream has the agent run the stream, or not, as the configuration says.
func (r *run) ensureStream(ctx context.Context) error {
	l, err := r.layout()
	if err != nil {
		return err
	}
	c, err := r.config()
	if err != nil {
		return err
	}
	agent := svc.Open(l)
	if !c.Backup.Stream || c.Backup.Store == "" {
		_, err := agent.Status(ctx, svc.BackupStream)
		if uerr.KindOf(err) == uerr.NotFound {
			return nil
		}
		return cmp.Or(err, agent.Remove(ctx, svc.BackupStream))
	}
	program, err := r.installedProgram(l)
	if err != nil {
		return err
	}
	if err := agent.Install(ctx, streamService(l, program)); err != nil {
		return err
	}
	return agent.Start(ctx, svc.BackupStream)
}

// streamService is the definition of the service. It stores what is left when it is stopped.
func streamService(l paths.Layout, program string) svc.Service {
	return svc.Service{Name: svc.BackupStream, Command: []string{program, "--prefix", l.Prefix, "--instance", l.Instance, "backup", "stream", "--lock-timeout", "30s"}, Dir: l.Var(),
		StopSignal: "TERM", StopTimeout: time.Minute, LogFile: filepath.Join(l.Log(), svc.BackupStream+".log"), After: []string{svc.Database}}
}

// streamStatus is how far the stream of the log has come.
type streamStatus struct {
	stream.State
	Alive         bool         `json:"alive"`
	BehindBytes   int64        `json:"behind_bytes"`
	BehindSeconds float64      `json:"behind_seconds"`
	OpenGaps      []stream.Gap `json:"open_gaps"`
}

func (r *run) streamStatus(st stream.State, dir string) streamStatus {
	return newStreamStatus(st, dir, r.now())
}

func newStreamStatus(st stream.State, dir string, now time.Time) streamStatus {
	return streamStatus{State: st, Alive: now.Sub(st.Updated) <= streamDead, BehindBytes: st.Behind(), BehindSeconds: st.Lag(now).Seconds(), OpenGaps: append([]stream.Gap{}, st.Open(dir)...)}
}

// stream judges the stream of the log.
func (s *statusReport) stream(l paths.Layout, cfg *config.File, now time.Time) {
	dir := streamDir(l)
	st, err := stream.Read(dir)
	if err != nil && !cfg.Backup.Stream {
		return
	}
	if err != nil {
		s.note(doctor.Fail, "the log is not streamed yet", "practicectl backup stream --install")
		return
	}
	one := newStreamStatus(st, dir, now)
	s.Stream = &one
	if alarm := st.Alarm(dir); alarm != nil {
		s.gap = true
		s.note(doctor.Fail, alarm.Error(), "practicectl backup run")
	}
	if !cfg.Backup.Stream {
		return
	}
	switch {
	case !one.Alive:
		s.note(doctor.Fail, "the stream of the log gave its last sign of life "+span(now.Sub(st.Updated))+" ago", "practicectl backup stream --install")
	case st.Problem != "" && now.Sub(st.Since) > streamDead:
		s.note(doctor.Warn, fmt.Sprintf("log waits since %s: %s", span(now.Sub(st.Since)), st.Problem), "practicectl doctor")
	case st.Lag(now) > streamDead:
		s.note(doctor.Warn, fmt.Sprintf("the stream of the log is %s behind", span(st.Lag(now))), "practicectl status")
	}
}

// streamText is the stream in one line.
func streamText(s *streamStatus) string {
	text := "stored up to " + s.Stored.String()
	if s.BehindBytes > 0 {
		text += fmt.Sprintf(", %s and %d s behind", size(s.BehindBytes), int(s.BehindSeconds))
	}
	if s.Spool.Files > 0 {
		text += fmt.Sprintf(", %s of %s in the spool", size(s.Spool.Bytes), size(s.Spool.Limit))
	}
	if n := len(s.OpenGaps); n > 0 {
		text += fmt.Sprintf(", %d GAPS", n)
	}
	return text
}

// noteSnapshot tells the stream of a snapshot, which closes gaps.
func (r *run) noteSnapshot(l paths.Layout, rep backup.Report) {
	if _, err := os.Stat(streamDir(l)); err != nil {
		return // nothing was ever streamed
	}
	if err := stream.NoteSnapshot(streamDir(l), rep.Snapshot); err != nil {
		r.log.Warn("tell the stream of the snapshot", "error", err)
	}
}
