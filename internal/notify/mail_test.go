package notify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	client "net/smtp"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// mailServer is a real SMTP server that keeps what it gets.
type mailServer struct {
	addr  string
	roots *x509.CertPool
	mu    sync.Mutex
	got   []string // "FROM>TO,TO\nmessage"
}

// NewSession, and the methods of session, are what the server calls.
func (m *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, encrypted := c.TLSConnectionState()
	return &session{server: m, encrypted: encrypted}, nil
}

type session struct {
	server     *mailServer
	encrypted  bool
	signedIn   bool
	envelope   string
	recipients []string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "praxis" || password != "canary-password" || !s.encrypted {
			return errors.New("no")
		}
		s.signedIn = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.envelope = from; return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &smtp.SMTPError{Code: 550, Message: "no such mailbox"}
	}
	s.recipients = append(s.recipients, to)
	return nil
}
func (s *session) Data(r io.Reader) error {
	if s.encrypted && !s.signedIn {
		return smtp.ErrAuthRequired
	}
	text, err := io.ReadAll(r)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.got = append(s.server.got, s.envelope+">"+strings.Join(s.recipients, ",")+"\n"+string(text))
	return err
}
func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// newMailServer starts a server: "smtps" speaks TLS from the beginning, "starttls" offers it, "plain" does not.
func newMailServer(t *testing.T, way string) *mailServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 2)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	m := &mailServer{roots: x509.NewCertPool()}
	m.roots.AddCert(cert)
	s := smtp.NewServer(m)
	s.Domain, s.AllowInsecureAuth = "mail.test", true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	m.addr = "localhost:" + port
	switch way {
	case "smtps":
		l = tls.NewListener(l, conf)
	case "starttls":
		s.TLSConfig = conf
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-done); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return m
}

func (m *mailServer) mailer(scheme string) Mailer {
	return Mailer{Server: scheme + "://" + m.addr, Roots: m.roots, Username: "praxis", Password: secret.New("canary-password"), From: "practicectl@praxis.test",
		To: []string{"it@praxis.test", "chefin@praxis.test"}, Now: time.Now}
}

func TestO3_MailArrivesAsItWasMeant(t *testing.T) {
	place := Place{Practice: "Praxis Süd", Host: "server", Instance: "main", Language: "de", Location: time.UTC, Logs: "/var/log/practice/main/runs"}
	at := time.Date(2026, 11, 25, 1, 30, 0, 0, time.UTC)
	want := place.Write(&Digest{Failing: []Failing{{Last: Event{Job: "backup", Run: "backup-00000003", At: at, Exit: 15, Kind: "unreachable", Error: "the store cannot be reached", Hint: "practicectl backup run"}, Since: at.Add(-48 * time.Hour), Count: 3}}})
	for _, way := range []string{"smtps", "plain"} {
		m := newMailServer(t, way)
		mailer := m.mailer(map[string]string{"smtps": "smtps", "plain": "smtp"}[way])
		if way == "plain" {
			mailer.Username = ""
		}
		if err := mailer.Send(t.Context(), want); err != nil {
			t.Fatal(way, err)
		}
		if len(m.got) != 1 {
			t.Fatal(way, m.got)
		}
		envelope, text, _ := strings.Cut(m.got[0], "\n")
		if envelope != "practicectl@praxis.test>it@praxis.test,chefin@praxis.test" {
			t.Error(envelope)
		}
		got, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject")); err != nil || subject != "Praxis Süd: die Sicherung fehlgeschlagen" {
			t.Errorf("%q %v", subject, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(got.Body))
		if plain := strings.ReplaceAll(string(body), "\r\n", "\n"); err != nil || strings.TrimSpace(plain) != strings.TrimSpace(want.Text) || !strings.Contains(plain, "bisher 3-mal") || !strings.Contains(plain, "/backup-00000003.log") {
			t.Errorf("%s %v", plain, err)
		}
	}
}

func TestO3_NoMailGoesInPlainTextOrToTheWrongServer(t *testing.T) {
	good := newMailServer(t, "smtps")
	for name, c := range map[string]struct {
		change func(m *Mailer)
		want   uerr.Kind
	}{
		"wrong password":   {func(m *Mailer) { m.Password = secret.New("canary-wrong") }, uerr.Auth},
		"unknown CA":       {func(m *Mailer) { m.Roots = nil }, uerr.Unreachable},
		"unknown mailbox":  {func(m *Mailer) { m.To = []string{"nobody@praxis.test"} }, uerr.Failed},
		"nobody listens":   {func(m *Mailer) { m.Server = "smtps://localhost:1" }, uerr.Unreachable},
		"no URL of a host": {func(m *Mailer) { m.Server = "smtp://" }, uerr.Config},
	} {
		m := good.mailer("smtps")
		c.change(&m)
		err := m.Send(t.Context(), Mail{Subject: "s", Text: "t\n"})
		if uerr.KindOf(err) != c.want || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: kind %v, %v", name, uerr.KindOf(err), err)
		}
	}
	if len(good.got) != 0 {
		t.Error(good.got)
	}
}

// TestO3_AnotherMachineIsSpokenToInTLS dials the server under a name that is not this machine's.
func TestO3_AnotherMachineIsSpokenToInTLS(t *testing.T) {
	for way, want := range map[string]bool{"starttls": true, "plain": false} {
		m := newMailServer(t, way)
		conn, err := net.Dial("tcp", m.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c, err := client.NewClient(conn, "mail.praxis.test")
		if err != nil {
			t.Fatal(err)
		}
		u := &url.URL{Scheme: "smtp", Host: "mail.praxis.test:587"}
		err = m.mailer("smtp").secure(c, u, &tls.Config{ServerName: "localhost", RootCAs: m.roots, MinVersion: tls.VersionTLS12})
		if _, encrypted := c.TLSConnectionState(); encrypted != want || want != (err == nil) {
			t.Errorf("%s: encrypted %v, %v", way, encrypted, err)
		}
	}
}

func TestO3_EveryLanguageHasEveryWord(t *testing.T) {
	en := languages["en"]
	for name, w := range languages {
		for job := range en.jobs {
			if w.jobs[job] == "" {
				t.Errorf("%s has no word for the job %s", name, job)
			}
		}
		for kind := range en.kinds {
			if w.kinds[kind] == "" {
				t.Errorf("%s has no word for %q", name, kind)
			}
		}
		d := &Digest{Failing: []Failing{{Last: Event{Job: "unheard-of", Exit: 1, Kind: "unheard-of", Error: "e", Hint: "h"}, Count: 2}}, Recovered: []Event{{Job: "backup"}}}
		for _, m := range []Mail{Place{Language: name, Location: time.UTC}.Write(d), Place{Language: name, Location: time.UTC}.Write(&Digest{Recovered: d.Recovered}), Place{Language: name}.Test()} {
			if strings.Contains(m.Subject+m.Text, "%!") || m.Subject == "" {
				t.Errorf("%s: %+v", name, m)
			}
		}
	}
}
