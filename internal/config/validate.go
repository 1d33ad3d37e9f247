package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate checks f and returns all mistakes at once.
func (f *File) Validate() error {
	var errs []error
	add := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	oneOf := func(key, got string, want ...string) {
		if !slices.Contains(want, got) {
			add(key, "%q is none of %s", got, strings.Join(want, ", "))
		}
	}
	hostPort := func(key, got string) {
		_, port, err := net.SplitHostPort(got)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 {
			add(key, "%q is not host:port", got)
		}
	}
	if f.Schema != Schema {
		add("schema", "%d is not supported by this version, which knows %d", f.Schema, Schema)
	}
	oneOf("practice.language", f.Practice.Language, "de", "en")
	if _, err := time.LoadLocation(f.Practice.Timezone); err != nil || f.Practice.Timezone == "" {
		add("practice.timezone", "%q is not an IANA time zone", f.Practice.Timezone)
	}
	if len(f.Practice.Currency) != 3 || strings.ToUpper(f.Practice.Currency) != f.Practice.Currency {
		add("practice.currency", "%q is not an ISO 4217 code", f.Practice.Currency)
	}
	oneOf("database.provider", f.Database.Provider, "system", "bundled")
	if f.Database.Port < 1 || f.Database.Port > 65535 {
		add("database.port", "%d is not a port", f.Database.Port)
	}
	if f.Database.Name == "" {
		add("database.name", "is empty")
	}
	hostPort("server.listen", f.Server.Listen)
	if u, err := url.Parse(f.Server.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		add("server.url", "%q is not an https URL", f.Server.URL)
	}
	oneOf("update.channel", f.Update.Channel, "stable", "lts", "beta")
	oneOf("update.mode", f.Update.Mode, "online", "lan", "airgap")
	if f.Update.Keep < 1 {
		add("update.keep", "%d: at least one old version must stay to go back to", f.Update.Keep)
	}
	hostPort("mirror.listen", f.Mirror.Listen)
	for _, s := range f.Agent.Services {
		oneOf("agent.services", s, "database", "server", "mirror")
	}
	for key, got := range map[string]string{"drill.rto": f.Drill.RTO, "drill.rpo": f.Drill.RPO} {
		if d, err := time.ParseDuration(got); err != nil || d <= 0 {
			add(key, "%q is no duration such as 72h", got)
		}
	}
	f.validateBackup(add)
	f.Notify.validate(add)
	if d := f.Metrics.Textfile; d != "" && !filepath.IsAbs(d) {
		add("metrics.textfile", "%q is no absolute path of a folder", d)
	}
	return errors.Join(errs...)
}

func (n Notify) validate(add func(key, format string, args ...any)) {
	if n.SMTP == "" {
		return
	}
	u, err := url.Parse(n.SMTP)
	switch {
	case strings.Contains(n.SMTP, "@"):
		add("notify.smtp", "it holds credentials: put them into a file and name it in notify.smtp_auth")
	case err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Path != "":
		add("notify.smtp", "%q is not smtp://host:port or smtps://host:port", n.SMTP)
	}
	if len(n.To) == 0 {
		add("notify.to", "is empty: who shall get the mail?")
	}
	for _, a := range append([]string{n.From}, n.To...) {
		if parsed, err := mail.ParseAddress(a); err != nil || parsed.Address != a {
			add("notify.from and notify.to", "%q is not a mail address", a)
		}
	}
}

func (f *File) validateBackup(add func(key, format string, args ...any)) {
	b := f.Backup
	if b.FullEvery < 1 {
		add("backup.full_read_days", "%d: it must be at least 1", b.FullEvery)
	}
	for _, k := range []struct {
		name     string
		n, least int
	}{{"daily", b.Keep.Daily, 1}, {"weekly", b.Keep.Weekly, 0}, {"monthly", b.Keep.Monthly, 0}, {"least_days", b.Keep.LeastDays, 1}, {"log_days", b.Keep.LogDays, 0}} {
		if k.n < k.least || k.n > 10_000 {
			add("backup.keep."+k.name, "%d is not between %d and 10000", k.n, k.least)
		}
	}
	if b.Store == "" {
		return
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(b.Recipients)))); n < 2 {
		add("backup.recipients", "%d different recipients: at least two are needed, so that one lost identity loses nothing", n)
	}
	validateStore("backup", b.Store, b.Endpoint, b.Limit, b.LimitHours, add)
	if _, err := ParseSize(b.Spool); err != nil {
		add("backup.spool", "%v", err)
	}
	seen := map[string]bool{b.Store: true}
	for i, c := range b.Copies {
		key := fmt.Sprintf("backup.copy %d", i+1)
		if !copyName.MatchString(c.Name) || seen["name "+c.Name] {
			add(key+".name", "%q: every copy needs a name of its own, of lower-case letters, digits and dashes", c.Name)
		}
		if c.Store == "" || seen[c.Store] && c.Endpoint == b.Endpoint {
			add(key+".store", "%q: every copy needs a store of its own", c.Store)
		}
		seen[c.Store], seen["name "+c.Name] = true, true
		validateStore(key, c.Store, c.Endpoint, c.Limit, c.LimitHours, add)
	}
}

var copyName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

func validateStore(key, store, endpoint, limit, hours string, add func(key, format string, args ...any)) {
	if bucket, ok := strings.CutPrefix(store, "s3://"); ok {
		if bucket == "" || strings.HasPrefix(bucket, "/") {
			add(key+".store", "%q names no bucket", store)
		}
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			add(key+".endpoint", "%q is not the URL of an S3 service", endpoint)
		}
	}
	if strings.HasPrefix(store, "sftp:") || strings.HasPrefix(store, "ssh:") {
		add(key+".store", "%q: there is no SFTP, because it has neither an atomic create nor locks; use an S3 service or a mounted folder", store)
	}
	if _, err := ParseRate(limit); limit != "" && err != nil {
		add(key+".limit", "%v", err)
	}
	if _, err := ParseHours(hours); err != nil {
		add(key+".limit_hours", "%v", err)
	}
}
