package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// Client speaks to one server.
type Client struct {
	base  string
	http  *http.Client
	token secret.Text
}

// NewClient returns a client for the server at base ("https://host:port") that trusts only the certificate authority in
// the PEM file caFile. Error kind: Precond when there is no such file.
func NewClient(base, caFile string) (*Client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read the practice's certificate authority", caFile, err, "run this on the server host, as the account that installed it")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, uerr.New(uerr.Precond, "read the practice's certificate authority", caFile, errors.New("it holds no certificate"), "practicectl doctor")
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second}
	return &Client{base: strings.TrimSuffix(base, "/"), http: &http.Client{Transport: tr, Timeout: time.Minute}}, nil
}

// NewLocalClient returns a client for the local administration socket of a running server.
func NewLocalClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{base: "http://server", http: &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: time.Minute}}
}

// SignIn signs in for the requests that follow. Error kinds: Auth, Unreachable.
func (c *Client) SignIn(ctx context.Context, login string, password secret.Text) error {
	var out SignedIn
	err := c.Do(ctx, http.MethodPost, "/api/v1/sign-in", SignIn{Login: login, Password: password.Reveal(), Device: "practicectl", Bearer: true}, &out)
	c.token = secret.New(out.Token)
	return err
}

// SignOut ends the session of SignIn.
func (c *Client) SignOut(ctx context.Context) error {
	err := c.Do(ctx, http.MethodPost, "/api/v1/sign-out", nil, nil)
	c.token = secret.Text{}
	return err
}

// Do sends in as JSON, unless nil, and reads the answer into out, unless nil. Error kinds: Auth (401, 403), NotFound,
// Precond (409, 412), Usage (422), Unreachable (no answer, 429, 503), Failed.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.token.Empty() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var other *tls.CertificateVerificationError
		if errors.As(err, &other) { // somebody answers, but not the practice's server: trying again does not help
			return uerr.New(uerr.Auth, "recognise the server", c.base, err, "see when its certificate ends and which authority it has: practicectl status")
		}
		return uerr.New(uerr.Unreachable, "reach the server", c.base, err, "practicectl status")
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return uerr.New(uerr.Unreachable, "read the server's answer", c.base, err, "")
	}
	if resp.StatusCode/100 != 2 {
		return refusal(resp.StatusCode, data)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return uerr.New(uerr.Failed, "understand the server's answer", "", err, "practicectl version")
	}
	return nil
}

func refusal(status int, data []byte) error {
	kind, hint := uerr.Failed, ""
	switch status {
	case http.StatusUnauthorized:
		kind, hint = uerr.Auth, "check login and password"
	case http.StatusForbidden:
		kind, hint = uerr.Auth, "sign in as somebody who may: --as LOGIN"
	case http.StatusNotFound:
		kind = uerr.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		kind = uerr.Precond
	case http.StatusUnprocessableEntity:
		kind = uerr.Usage
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		kind, hint = uerr.Unreachable, "try again later"
	}
	var e Error
	if err := json.Unmarshal(data, &e); err != nil || e.Code == "" {
		return uerr.New(kind, "ask the server", "", fmt.Errorf("it answered %d", status), hint)
	}
	text := e.Message
	if text == "" {
		text = e.Code
	}
	for field, what := range e.Fields {
		text += fmt.Sprintf("; %s: %s", field, strings.ReplaceAll(what, "_", " "))
	}
	return uerr.New(kind, "ask the server", "", errors.New(text), hint)
}
