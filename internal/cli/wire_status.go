package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"practicectl/backup"
	"practicectl/internal/config"
	"practicectl/internal/doctor"
	"practicectl/internal/paths"
	"practicectl/internal/slots"
	"practicectl/internal/svc/schedule"
	"practicectl/release"
)

// installedVersion is the product's version on this machine, or "none".
func installedVersion(l paths.Layout) string {
	for _, name := range []string{release.Server, release.Practicectl, release.Client} {
		if v, err := (slots.Slots{Dir: l.Component(name)}).Current(); err == nil {
			return v
		}
	}
	return "none"
}

// isWorkstation reports whether this machine has a client, but neither a core server nor a database.
func isWorkstation(l paths.Layout) bool {
	live := func(component string) bool {
		_, err := slots.Slots{Dir: l.Component(component)}.Current()
		return err == nil
	}
	return live(release.Client) && !live(release.Server) && !exists(l.PGData())
}

// certificateEnd is when the certificate of the core server ends.
func certificateEnd(l paths.Layout) (time.Time, error) {
	data, err := os.ReadFile(filepath.Join(l.Cred(), "tls.crt"))
	if err != nil {
		return time.Time{}, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return time.Time{}, errors.New("tls.crt holds no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, err
	}
	return cert.NotAfter, nil
}

// backups judges the last backup and its last check.
func (s *statusReport) backups(l paths.Layout, cfg *config.File, now time.Time) {
	if cfg.Backup.Store == "" {
		s.note(doctor.Warn, "there is no backup repository", "practicectl backup init --help")
		return
	}
	if k, err := backup.LoadKeys(l.Cred()); err == nil {
		s.Weaker = backup.Weaker(*k.Pin)
	}
	if last, err := readLastRun(l, "verify"); err == nil {
		s.Verify = &last
	}
	defer s.copies(l, cfg, now)
	if last, err := readLastRun(l, "key-check"); err == nil {
		s.KeyCheck = &last
	}
	last, err := readLastRun(l, "backup")
	if err != nil || last.Succeeded.IsZero() {
		s.note(doctor.Fail, "there has been no backup yet", "practicectl backup run")
		if err == nil {
			s.Backup = &last
		}
		return
	}
	s.Backup = &last
	since := now.Sub(last.Succeeded)
	switch {
	case since < -time.Hour:
		s.overdue = true
		s.note(doctor.Fail, "the last good backup is noted in the future: the clock of this machine is wrong, or was", "practicectl backup run")
	case since > backupOverdue:
		s.overdue = true
		s.note(doctor.Fail, fmt.Sprintf("the last good backup is %s old", span(since)), "practicectl backup run")
	case since > backupLate:
		s.note(doctor.Warn, fmt.Sprintf("the last good backup is %s old", span(since)), "practicectl backup run")
	case !last.OK:
		s.note(doctor.Warn, "the last backup failed: "+last.Error, "practicectl backup run")
	}
}

// copyStatus is how the last copy to another store went; nil: there was none.
type copyStatus struct {
	Name string   `json:"name"`
	Last *lastRun `json:"last"`
}

// copies judges the last copy to each other store.
func (s *statusReport) copies(l paths.Layout, cfg *config.File, now time.Time) {
	for _, c := range cfg.Backup.Copies {
		one := copyStatus{Name: c.Name}
		if last, err := readLastRun(l, "copy-"+c.Name); err == nil {
			one.Last = &last
		}
		s.Copies = append(s.Copies, one)
		switch {
		case one.Last == nil || one.Last.Succeeded.IsZero():
			s.note(doctor.Warn, "there is nothing in the copy "+c.Name+" yet", "practicectl backup copy")
		case now.Sub(one.Last.Succeeded) > backupOverdue:
			s.overdue = true
			s.note(doctor.Fail, fmt.Sprintf("the copy %s is %s old", c.Name, span(now.Sub(one.Last.Succeeded))), "practicectl backup copy")
		case !one.Last.OK:
			s.note(doctor.Warn, "the last copy to "+c.Name+" failed: "+one.Last.Error, "practicectl backup copy")
		}
	}
}

// lateness judges the scheduled jobs but for the backup's age, which is judged whether it is scheduled or not.
func (s *statusReport) lateness(ctx context.Context, r *run, l paths.Layout) {
	if last, err := readLastRun(l, "notify"); err == nil {
		if s.Notify = &last; !last.OK {
			s.note(doctor.Warn, "nobody could be told how a job went: "+last.Error, "practicectl notify check")
		}
	}
	jobs, err := r.lateness(ctx, l)
	if err != nil {
		return
	}
	for _, j := range jobs {
		if j.Problem == "" {
			continue
		}
		s.Late = append(s.Late, j)
		if j.Name == "backup" && j.Runner != "" {
			continue
		}
		level := doctor.Warn
		if j.State == schedule.Overdue || j.State == schedule.ClockWrong {
			level, s.overdue = doctor.Fail, true
		}
		next := "practicectl job run " + j.Name
		if j.Runner == "" {
			next = "practicectl schedule install " + j.Name
		}
		s.note(level, j.Problem, next)
	}
}

// nagiosExit ends the program with a code of Nagios plug-ins; the one line has been printed.
type nagiosExit int

func (n nagiosExit) Error() string { return fmt.Sprintf("nagios state %d", int(n)) }

// showNagios prints the line that a monitoring system reads: state, reasons, and the age of the backup in seconds.
func showNagios(w io.Writer, s *statusReport, err error) error {
	if err != nil {
		fmt.Fprintf(w, "UNKNOWN - %s\n", strings.ReplaceAll(err.Error(), "|", "/"))
		return nagiosExit(3)
	}
	state := map[doctor.Severity]int{doctor.OK: 0, doctor.Warn: 1, doctor.Fail: 2}[s.Level]
	text := "the practice is safe"
	if len(s.Reasons) > 0 {
		text = strings.Join(s.Reasons, "; ")
	}
	line := []string{"OK", "WARNING", "CRITICAL"}[state] + " - " + strings.ReplaceAll(text, "|", "/")
	if s.Backup != nil && !s.Backup.Succeeded.IsZero() {
		line += fmt.Sprintf(" | backup_age=%ds;%d;%d", int(s.now.Sub(s.Backup.Succeeded).Seconds()), int(backupLate.Seconds()), int(backupOverdue.Seconds()))
	}
	fmt.Fprintln(w, strings.ReplaceAll(line, "\n", "; "))
	if state == 0 {
		return nil
	}
	return nagiosExit(state)
}
