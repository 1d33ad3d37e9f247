package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"practicectl/backup"
	"practicectl/internal/config"
	"practicectl/internal/diskspace"
	"practicectl/internal/doctor"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/slots"
	"practicectl/internal/svc"
	"practicectl/release"
)

// patient is what the checks look at.
type patient struct {
	r       *run
	l       paths.Layout
	cfg     *config.File
	cluster *pgcluster.Cluster // nil without a database
	inspect pgcluster.Inspection
	broken  error // why the database could not be looked at
}

func (r *run) newPatient(ctx context.Context) (*patient, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	cfg, err := r.config()
	if err != nil {
		return nil, err
	}
	p := &patient{r: r, l: l, cfg: cfg}
	if p.cluster, _, p.broken = r.cluster(ctx); p.broken == nil {
		p.inspect, p.broken = pgcluster.Inspect(ctx, p.cluster, cfg.Database.Provider, cfg.Database.Name)
	}
	return p, nil
}

// checkups is every check, in the order of the report. The ids are stable: support and documentation use them.
var checkups = []struct {
	id, name string
	server   bool // asks about the database and the core server, which a workstation has not
	run      func(*patient, context.Context) (doctor.Severity, string, string)
}{
	{"D04", "disk-space", false, (*patient).diskSpace},
	{"D11", "database-provider", true, (*patient).provider},
	{"D13", "page-checksums", true, (*patient).checksums},
	{"D16", "database-network", true, (*patient).databaseNetwork},
	{"D18", "certificate", true, (*patient).certificate},
	{"D22", "secrets", false, (*patient).secrets},
	{"D23", "backup-recipients", true, (*patient).recipients},
	{"D24", "backup-store", true, (*patient).store},
	{"D25", "backup-age", true, (*patient).backupAge},
	{"D46", "drill-age", true, (*patient).drillAge},
	{"D27", "schedule", true, (*patient).schedule},
	{"D35", "update-source", false, (*patient).updateSource},
	{"D43", "services", true, (*patient).services},
	{"D44", "server-ready", true, (*patient).ready},
	{"D45", "unfinished-work", false, (*patient).unfinished},
}

func (p *patient) checks() []doctor.Check {
	out := make([]doctor.Check, len(checkups))
	for i, c := range checkups {
		out[i] = doctor.Check{ID: c.id, Name: c.name, Run: func(ctx context.Context) (doctor.Severity, string, string) {
			if c.server && isWorkstation(p.l) {
				return doctor.OK, "not on a workstation", ""
			}
			return c.run(p, ctx)
		}}
	}
	return out
}

// diskSpace wants room for one full restore beside the data.
func (p *patient) diskSpace(context.Context) (doctor.Severity, string, string) {
	free, err := diskspace.Free(p.l.Var())
	if err != nil {
		return doctor.Fail, err.Error(), ""
	}
	var data int64
	err = filepath.WalkDir(p.l.PGData(), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // files of a running database come and go
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			data += info.Size()
		}
		return nil
	})
	if err != nil {
		return doctor.Fail, err.Error(), ""
	}
	text := fmt.Sprintf("%s free, the database has %s", size(free), size(data))
	switch {
	case free < 1<<30 || free < data/4:
		return doctor.Fail, text, "make room on the disk of " + p.l.Var()
	case free < data+(2<<30):
		return doctor.Warn, text + ": a restore beside it does not fit", "make room on the disk of " + p.l.Var()
	}
	return doctor.OK, text, ""
}

func (p *patient) provider(context.Context) (doctor.Severity, string, string) {
	if p.broken != nil {
		return doctor.Fail, p.broken.Error(), "practicectl db status"
	}
	text := "PostgreSQL " + p.inspect.Version + ", provider " + p.cfg.Database.Provider
	if p.cfg.Database.Provider == pgcluster.ProviderBundled {
		return doctor.Warn, text + ": not for patient data, it gets no security updates", "for patients, install anew with the distribution's: practicectl install --provider system"
	}
	return doctor.OK, text, ""
}

func (p *patient) checksums(context.Context) (doctor.Severity, string, string) {
	switch {
	case p.broken != nil:
		return doctor.Fail, p.broken.Error(), "practicectl db status"
	case !p.inspect.Checksums:
		return doctor.Fail, "pages have no checksums: damage would not be noticed", "stop the database, then: pg_checksums --enable -D " + p.l.PGData()
	case p.inspect.ChecksumFailures > 0:
		return doctor.Fail, fmt.Sprintf("%d pages failed their checksum", p.inspect.ChecksumFailures), "practicectl backup verify, and have the disk checked"
	}
	return doctor.OK, "on, no failures", ""
}

// databaseNetwork wants the database to be out of reach from the network.
func (p *patient) databaseNetwork(ctx context.Context) (doctor.Severity, string, string) {
	if p.broken != nil {
		return doctor.Fail, p.broken.Error(), "practicectl db status"
	}
	listen, err := pgcluster.ListenAddresses(ctx, p.cluster)
	switch {
	case err != nil:
		return doctor.Fail, err.Error(), "practicectl db start"
	case listen != "":
		return doctor.Warn, "the database listens on " + listen, "remove listen_addresses from " + filepath.Join(p.l.PGData(), "conf.d", "50-local.conf")
	}
	return doctor.OK, "only its unix socket, " + p.cluster.Socket(), ""
}

func (p *patient) certificate(context.Context) (doctor.Severity, string, string) {
	ends, err := certificateEnd(p.l)
	if err != nil {
		return doctor.Fail, err.Error(), "practicectl install"
	}
	left := ends.Sub(p.r.now())
	text := "valid until " + ends.Format("2006-01-02")
	switch {
	case left <= 0:
		return doctor.Fail, text, "practicectl install"
	case left < 30*24*time.Hour:
		return doctor.Warn, text, "practicectl install"
	}
	return doctor.OK, text, ""
}

// secrets wants nobody else to read the credential folder, and no key in it that opens backups.
func (p *patient) secrets(context.Context) (doctor.Severity, string, string) {
	entries, err := os.ReadDir(p.l.Cred())
	if err != nil {
		return doctor.Fail, err.Error(), "practicectl install"
	}
	for _, e := range entries {
		path := filepath.Join(p.l.Cred(), e.Name())
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		public := strings.HasSuffix(e.Name(), ".crt") || strings.HasSuffix(e.Name(), ".pub")
		if info.Mode().Perm()&0o077 != 0 && !public {
			return doctor.Fail, path + " can be read by others", "chmod 600 " + path
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), "AGE-SECRET-KEY-") {
			return doctor.Fail, path + " holds an identity that opens the backups", "carry it off this machine, then delete it here"
		}
	}
	return doctor.OK, fmt.Sprintf("%d files, readable by their owner only; no identity among them", len(entries)), ""
}

func (p *patient) recipients(context.Context) (doctor.Severity, string, string) {
	if p.cfg.Backup.Store == "" {
		return doctor.Fail, "there is no backup repository", "practicectl backup init --help"
	}
	text := fmt.Sprintf("%d recipients", len(p.cfg.Backup.Recipients))
	last, err := readLastRun(p.l, "key-check")
	const fix = "practicectl key check --identity FILE"
	switch {
	case err != nil || last.Succeeded.IsZero():
		return doctor.Warn, text + "; nobody tried here whether an identity still opens the backups", fix
	case !last.OK:
		return doctor.Fail, text + "; the last try to open the backups failed: " + last.Error, fix
	case p.r.now().Sub(last.Succeeded) > keyCheckDue:
		return doctor.Warn, text + "; the last identity was tried on " + last.Succeeded.Format("2006-01-02"), fix
	}
	return doctor.OK, text + "; opened on " + last.Succeeded.Format("2006-01-02") + " " + last.Detail, ""
}

// keyCheckDue is how long a proof that an identity opens the backups is good.
const keyCheckDue = 400 * 24 * time.Hour

// store asks the backup store for its settings, which proves address, credentials and repository.
func (p *patient) store(ctx context.Context) (doctor.Severity, string, string) {
	if p.cfg.Backup.Store == "" {
		return doctor.Fail, "there is no backup repository", "practicectl backup init --help"
	}
	repository, _, err := p.r.openForWriting(ctx)
	if err != nil {
		return doctor.Fail, err.Error(), "practicectl backup list"
	}
	text := repository.Store.String() + " answers"
	for _, weaker := range backup.Weaker(*repository.Keys.Pin) {
		text += "; " + weaker
	}
	return doctor.OK, text, ""
}

func (p *patient) backupAge(context.Context) (doctor.Severity, string, string) {
	s := &statusReport{}
	s.backups(p.l, p.cfg, p.r.now())
	if s.Level == doctor.OK {
		return doctor.OK, "last good backup " + span(p.r.now().Sub(s.Backup.Succeeded)) + " ago", ""
	}
	return s.Level, s.Reasons[0], s.Next
}

// drillAge asks the store, where drills of other machines leave their evidence.
func (p *patient) drillAge(ctx context.Context) (doctor.Severity, string, string) {
	if p.cfg.Backup.Store == "" {
		return doctor.OK, "there is nothing to drill yet", ""
	}
	chains, err := p.r.drillChains(ctx, drillFlags{})
	if err != nil {
		return doctor.Fail, err.Error(), "practicectl drill list"
	}
	s := &statusReport{}
	s.drills(p.l, p.r.now()) // from what drillChains noted
	switch {
	case s.Level != doctor.OK:
		return s.Level, s.Reasons[0], s.Next
	case s.Drill == nil:
		return doctor.OK, "nobody has drilled yet", ""
	}
	return doctor.OK, fmt.Sprintf("the last drill that passed was %s ago; %d machines drill", span(p.r.now().Sub(s.Drill.Succeeded)), len(chains)), ""
}

func (p *patient) schedule(ctx context.Context) (doctor.Severity, string, string) {
	ways, err := p.r.scheduleBackends(ctx, p.l)
	if err != nil {
		return doctor.Fail, err.Error(), ""
	}
	n := 0
	for _, way := range ways {
		entries, err := way.List(ctx)
		if err != nil {
			return doctor.Fail, err.Error(), "practicectl schedule list"
		}
		n += len(entries)
	}
	if n == 0 {
		return doctor.Warn, "nothing runs by itself", "practicectl schedule install"
	}
	return doctor.OK, fmt.Sprintf("%d jobs", n), ""
}

func (p *patient) updateSource(ctx context.Context) (doctor.Severity, string, string) {
	if p.cfg.Update.Source == "" {
		return doctor.Warn, "no source of updates is configured", "practicectl install --from DIR|URL"
	}
	catalog, err := p.r.catalog(ctx)
	if err != nil {
		return doctor.Warn, err.Error(), "practicectl update check"
	}
	text := fmt.Sprintf("%s offers %s, vouched for on %s", p.cfg.Update.Source, catalog.Index.Latest, catalog.Issued.Format("2006-01-02"))
	if catalog.Stale {
		return doctor.Warn, text + "; its signatures have expired", "sync the mirror: practicectl mirror sync"
	}
	return doctor.OK, text, ""
}

func (p *patient) services(ctx context.Context) (doctor.Severity, string, string) {
	agent := svc.Open(p.l)
	all, err := agent.List(ctx)
	if err != nil {
		return doctor.Fail, err.Error(), "practicectl agent run"
	}
	for _, s := range all {
		if s.State != svc.Running {
			return doctor.Fail, fmt.Sprintf("%s is %s; see %s", s.Name, s.State, s.LogFile), "practicectl status"
		}
	}
	return doctor.OK, fmt.Sprintf("%d running", len(all)), ""
}

func (p *patient) ready(ctx context.Context) (doctor.Severity, string, string) {
	if _, err := (slots.Slots{Dir: p.l.Component(release.Server)}).Current(); err != nil {
		return doctor.OK, "this machine has no core server", ""
	}
	if err := (&services{l: p.l, cfg: p.cfg, manager: svc.Open(p.l), now: p.r.now}).probe(ctx); err != nil {
		return doctor.Fail, err.Error(), "practicectl status"
	}
	return doctor.OK, p.cfg.Server.URL + " lets users in", ""
}

func (p *patient) unfinished(context.Context) (doctor.Severity, string, string) {
	u, err := p.r.newUpdater(readyWithin)
	if err != nil {
		return doctor.Fail, err.Error(), ""
	}
	if open, err := u.Unfinished(); err != nil || open {
		return doctor.Fail, "an update was interrupted", "practicectl update rollback, or to finish it: practicectl update apply"
	}
	return doctor.OK, "no interrupted update", ""
}
