package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

func newTransport(o Options, u *url.URL) (*http.Transport, error) {
	connect, stall := o.ConnectTimeout, o.StallTimeout
	if connect <= 0 {
		connect = 10 * time.Second
	}
	if stall <= 0 {
		stall = 60 * time.Second
	}
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy: o.Proxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &stallConn{Conn: c, stall: stall}, nil
		},
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       stall / 2,
		TLSHandshakeTimeout:   connect,
		ResponseHeaderTimeout: stall,
		DisableCompression:    true,
	}
	if u.Scheme != "https" {
		return t, nil
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without a system pool still has the one that was named
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("there is no certificate in the CA file " + o.CAFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// stallConn fails when nothing moves for a while, however long the whole transfer takes. Progress in one direction
// also counts for the other: while a body goes out, the pending read of the answer must not time out.
type stallConn struct {
	net.Conn
	stall time.Duration
}

func (c *stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *stallConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
