package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"net/url"
	"strings"
	"time"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// Mailer sends mail through the practice's mail server (RFC 5321), always encrypted but to this very machine.
type Mailer struct {
	Server   string         // "smtps://host:465", "smtp://host:587" (STARTTLS is demanded), "smtp://localhost:25" (plain)
	Roots    *x509.CertPool // nil: those of the system
	Username string         // empty: no authentication
	Password secret.Text
	From     string
	To       []string
	Now      func() time.Time
}

// Mail is one message.
type Mail struct {
	Subject string
	Text    string // lines end with "\n"
}

const (
	mailOp   = "send mail through"
	mailHint = "check [notify] in practice.toml, then: practicectl notify check"
)

// Send delivers m to all of m.To or fails. Error kinds: Unreachable, Auth, Config, Failed.
func (m Mailer) Send(ctx context.Context, mail Mail) (err error) {
	fail := func(kind uerr.Kind, err error) error { return uerr.New(kind, mailOp, m.Server, err, mailHint) }
	u, err := url.Parse(m.Server)
	if err != nil || u.Hostname() == "" {
		return fail(uerr.Config, errors.New("it is no smtp:// or smtps:// URL"))
	}
	conf := &tls.Config{ServerName: u.Hostname(), RootCAs: m.Roots, MinVersion: tls.VersionTLS12}
	port := map[string]string{"smtps": "465", "smtp": "587"}[u.Scheme]
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	if err != nil {
		return fail(uerr.Unreachable, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends what waits for the server
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return fail(uerr.Failed, errors.Join(err, conn.Close()))
	}
	if u.Scheme == "smtps" {
		conn = tls.Client(conn, conf)
	}
	c, err := smtp.NewClient(conn, u.Hostname())
	if err != nil {
		return fail(uerr.Unreachable, errors.Join(err, conn.Close()))
	}
	defer func() { _ = c.Close() }() // after Quit there is nothing left to fail
	if err := m.secure(c, u, conf); err != nil {
		return fail(uerr.Auth, err)
	}
	if m.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", m.Username, m.Password.Reveal(), u.Hostname())); err != nil {
			return fail(uerr.Auth, err)
		}
	}
	if err := m.deliver(c, mail); err != nil {
		return fail(uerr.Failed, err)
	}
	return nil
}

// secure begins TLS. Only this very machine may be spoken to in plain text.
func (m Mailer) secure(c *smtp.Client, u *url.URL, conf *tls.Config) error {
	if u.Scheme == "smtps" || loopback(u.Hostname()) {
		return nil
	}
	if ok, _ := c.Extension("STARTTLS"); !ok {
		return errors.New("it offers no STARTTLS, and nothing is sent in plain text")
	}
	return c.StartTLS(conf)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (m Mailer) deliver(c *smtp.Client, mail Mail) error {
	if err := c.Mail(m.From); err != nil {
		return err
	}
	for _, to := range m.To {
		if err := c.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	text, err := m.message(mail)
	if err == nil {
		_, err = w.Write(text)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return c.Quit()
}

// message writes mail as RFC 5322 wants it.
func (m Mailer) message(mail Mail) ([]byte, error) {
	_, domain, _ := strings.Cut(m.From, "@")
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", m.From}, {"To", strings.Join(m.To, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", mail.Subject)},
		{"Date", m.Now().Format(time.RFC1123Z)}, {"Message-ID", "<" + rand.Text() + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(strings.ReplaceAll(mail.Text, "\n", "\r\n"))); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}
