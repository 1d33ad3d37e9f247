package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"practicectl/internal/atomicfile"
	"practicectl/internal/config"
	"practicectl/internal/lockfile"
	"practicectl/internal/notify"
	"practicectl/internal/paths"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// herald is who is told of jobs.
type herald struct {
	run    *run
	l      paths.Layout
	ping   notify.Ping
	mail   *notify.Mailer // nil: no mail
	place  notify.Place
	redact notify.Redactor
}

// herald reads [notify]. Error kind: Config.
func (r *run) herald(l paths.Layout, c *config.File) (*herald, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	n := c.Notify
	h := &herald{run: r, l: l, place: notify.Place{Practice: c.Practice.Name, Host: host, Instance: l.Instance, Language: c.Practice.Language, Location: r.location(), Logs: keeperOf(l, r.now).Dir}}
	h.redact.Own = []string{l.Etc(), l.Var(), l.Log(), l.Run(), l.Opt()}
	for _, store := range append([]config.Copy{{Store: c.Backup.Store}}, c.Backup.Copies...) {
		if filepath.IsAbs(store.Store) {
			h.redact.Own = append(h.redact.Own, store.Store)
		}
	}
	if n.Ping != "" {
		data, err := readCred(l, "notify.ping", n.Ping)
		if err != nil {
			return nil, err
		}
		h.ping.URL = secret.New(strings.TrimSpace(string(data)))
		h.redact.Secrets = append(h.redact.Secrets, h.ping.URL)
		h.ping.Client = &http.Client{Transport: &http.Transport{Proxy: proxyFrom(r.app.Getenv), ForceAttemptHTTP2: true}}
	}
	if n.SMTP == "" {
		return h, nil
	}
	h.mail = &notify.Mailer{Server: n.SMTP, From: n.From, To: n.To, Now: r.now}
	if n.SMTPAuth != "" {
		if err := h.readLogin(n.SMTPAuth); err != nil {
			return nil, err
		}
	}
	if n.SMTPCA != "" {
		data, err := readCred(l, "notify.smtp_ca", n.SMTPCA)
		if err != nil {
			return nil, err
		}
		h.mail.Roots = x509.NewCertPool()
		if !h.mail.Roots.AppendCertsFromPEM(data) {
			return nil, uerr.New(uerr.Config, "read the file of notify.smtp_ca", n.SMTPCA, errors.New("it holds no PEM certificate"), "")
		}
	}
	return h, nil
}

func (h *herald) readLogin(name string) error {
	data, err := readCred(h.l, "notify.smtp_auth", name)
	if err != nil {
		return err
	}
	var f struct{ Username, Password string }
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&f); err != nil || f.Username == "" || f.Password == "" {
		// the decoder's own error would quote the file
		return uerr.New(uerr.Config, "read the file of notify.smtp_auth", name, errors.New("it has not both of them"), "write it like this:\nusername = \"…\"\npassword = \"…\"")
	}
	h.mail.Username, h.mail.Password = f.Username, secret.New(f.Password)
	h.redact.Secrets = append(h.redact.Secrets, h.mail.Password)
	return nil
}

// tell says how a run ended: to the dead-man switch, and by mail when a digest is due.
func (h *herald) tell(ctx context.Context, e notify.Event, rid string, tail []string) error {
	e.Error, e.Hint = h.redact.Text(e.Error), h.redact.Text(e.Hint)
	var errs []error
	if h.ping.For(e.Job) {
		errs = append(errs, h.ping.End(ctx, e, rid, strings.Split(h.redact.Text(strings.Join(tail, "\n")), "\n")))
	}
	if h.mail != nil {
		errs = append(errs, h.digest(ctx, e))
	}
	return errors.Join(errs...)
}

// digest notes the event in the state of the instance and sends what is due.
func (h *herald) digest(ctx context.Context, e notify.Event) error {
	_, lock, err := lockfile.Acquire(ctx, h.l.Lock("notify"), "notify", 2*time.Minute)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }() // its process ends soon anyway
	path := filepath.Join(h.l.Var(), "notify.json")
	var before notify.State
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &before)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		before = notify.State{} // what was told is told once more
	}
	after, digest := before.Note(e)
	var sent error
	if digest != nil {
		if sent = h.mail.Send(ctx, h.place.Write(digest)); sent != nil {
			after = after.Unsent(before, digest)
		}
	}
	data, err = json.MarshalIndent(after, "", "  ")
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o640, append(data, '\n'))
	}
	return errors.Join(sent, err)
}
