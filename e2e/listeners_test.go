package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"
)

// notebook appends what somebody outside of the practice hears to a file of the script.
type notebook struct {
	mu   sync.Mutex
	path string
}

func (n *notebook) note(format string, args ...any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, err := os.OpenFile(n.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, format, args...); err != nil {
		return err
	}
	return f.Close()
}

// outside starts a dead-man switch, which sets SWITCH to its URL and writes into the file "pings", and a mail server, which sets MAIL to
// its host and port and writes into the file "mails".
func outside(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "outside")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	pings := &notebook{path: ts.MkAbs("pings")}
	ts.Check(pings.note(""))
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = pings.note("%s %s\n%s\n", r.Method, r.URL.RequestURI(), body)
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})}
	go func() { _ = web.Serve(l) }() // until it is closed
	ts.Defer(func() { _ = web.Close() })
	ts.Setenv("SWITCH", "http://"+l.Addr().String())
	post, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	mails := &notebook{path: ts.MkAbs("mails")}
	ts.Check(mails.note(""))
	office := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return letter{mails}, nil }))
	office.Domain = "praxis.test"
	go func() { _ = office.Serve(post) }() // until it is closed
	ts.Defer(func() { _ = office.Close() })
	ts.Setenv("MAIL", strings.Replace(post.Addr().String(), "127.0.0.1", "localhost", 1))
}

// letter is a session of the mail server.
type letter struct{ mails *notebook }

func (letter) Mail(string, *smtp.MailOptions) error        { return nil }
func (l letter) Rcpt(to string, _ *smtp.RcptOptions) error { return l.mails.note("TO %s\n", to) }
func (letter) Reset()                                      {}
func (letter) Logout() error                               { return nil }

func (l letter) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return l.mails.note("%s\n", text)
}
