// Package client is the daemon on a workstation: it knows its server by a pinned certificate and shows the installed modules.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"practicectl/internal/uerr"
)

// Fingerprint is the SHA-256 of a certificate (DER) as 64 lower-case hexadecimal digits.
type Fingerprint string

var hexForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ParseFingerprint takes hexadecimal digits of either case, with or without colons or blanks, and an optional
// "sha256:" before them. Error kind: Usage.
func ParseFingerprint(s string) (Fingerprint, error) {
	plain := strings.ToLower(strings.TrimSpace(s))
	plain = strings.TrimPrefix(plain, "sha256:")
	plain = strings.NewReplacer(":", "", " ", "").Replace(plain)
	if !hexForm.MatchString(plain) {
		return "", uerr.New(uerr.Usage, "read the fingerprint", "", errors.New("want 64 hexadecimal digits"), "on the server: openssl x509 -noout -fingerprint -sha256 -in /etc/practice/main/cred/tls.crt")
	}
	return Fingerprint(plain), nil
}

// FingerprintOf is the fingerprint of a certificate.
func FingerprintOf(c *x509.Certificate) Fingerprint {
	sum := sha256.Sum256(c.Raw)
	return Fingerprint(hex.EncodeToString(sum[:]))
}

// errPin is a certificate other than the pinned one.
type errPin struct{ got Fingerprint }

func (e errPin) Error() string {
	return fmt.Sprintf("the server shows the certificate %s, not the one given", e.got)
}

// pinned accepts a connection only if the server's own certificate has the fingerprint, or if it is signed by a CA
// certificate with the fingerprint that the server sends along and is made for host. It runs within the handshake,
// before a byte of a request is sent.
func pinned(want Fingerprint, host string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         host,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection below decides instead of the system's CAs
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("the server shows no certificate")
			}
			leaf := cs.PeerCertificates[0]
			for i, c := range cs.PeerCertificates {
				if FingerprintOf(c) != want {
					continue
				}
				if i == 0 {
					return inTime(leaf, now())
				}
				roots := x509.NewCertPool()
				roots.AddCert(c)
				_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: now()})
				return err
			}
			return errPin{FingerprintOf(leaf)}
		},
	}
}

func inTime(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return fmt.Errorf("the certificate is valid from %s to %s only", c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	}
	return nil
}

// HTTP returns a client that talks to s and to nothing else: no proxy, no redirects, only the pinned certificate.
func (s Server) HTTP(now func() time.Time) (*http.Client, error) {
	u, err := parseURL(s.URL)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{TLSClientConfig: pinned(s.Fingerprint, u.Hostname(), now), TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true},
	}, nil
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, uerr.New(uerr.Usage, "read the server's address", "", errors.New("want https://host[:port]"), "practice-client connect https://server:8443 --fingerprint F")
	}
	u.Path = ""
	return u, nil
}

// Connect checks that the server at rawURL owns the fingerprint and answers. It sends nothing to a server that does not.
// Error kinds: Usage, Auth for another certificate, Unreachable, Precond when it is not a practice-server.
func Connect(ctx context.Context, rawURL, fingerprint string, now func() time.Time) (Server, error) {
	const op = "connect to"
	want, err := ParseFingerprint(fingerprint)
	if err != nil {
		return Server{}, err
	}
	u, err := parseURL(rawURL)
	if err != nil {
		return Server{}, err
	}
	s := Server{Schema: stateSchema, URL: u.String(), Fingerprint: want, Added: now().UTC().Truncate(time.Second)}
	c, err := s.HTTP(now)
	if err != nil {
		return Server{}, err
	}
	defer c.CloseIdleConnections()
	body, status, err := fetch(ctx, c, s.URL+"/livez")
	var pin errPin
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &pin), errors.As(err, &cert):
		return Server{}, uerr.New(uerr.Auth, op, s.URL, err, "compare it with the server's own (openssl x509 -noout -fingerprint -sha256 -in tls.crt); if they really differ, somebody may be in between")
	case err != nil:
		return Server{}, uerr.New(uerr.Unreachable, op, s.URL, err, "check the address and that the server runs, then try again")
	case status != http.StatusOK:
		return Server{}, uerr.New(uerr.Precond, op, s.URL, fmt.Errorf("it answers %d %q", status, bytes.TrimSpace(body)), "name the address of a practice-server")
	}
	return s, nil
}

func fetch(ctx context.Context, c *http.Client, target string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := c.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, 0, err
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, 200))
	return body, resp.StatusCode, errors.Join(err, resp.Body.Close())
}
