package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
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
	f.validateBackup(add)
	return errors.Join(errs...)
}

func (f *File) validateBackup(add func(key, format string, args ...any)) {
	b := f.Backup
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
	if bucket, ok := strings.CutPrefix(b.Store, "s3://"); ok {
		if bucket == "" || strings.HasPrefix(bucket, "/") {
			add("backup.store", "%q names no bucket", b.Store)
		}
		if u, err := url.Parse(b.Endpoint); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			add("backup.endpoint", "%q is not the URL of an S3 service", b.Endpoint)
		}
	}
}
