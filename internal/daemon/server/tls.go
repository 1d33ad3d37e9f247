package server

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"sync"
	"time"

	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// certificate is the server's TLS certificate; a renewed file is taken up without a restart.
type certificate struct {
	certFile, keyFile string
	mu                sync.Mutex
	cert              *tls.Certificate
	changed, looked   time.Time
}

func loadCertificate(l paths.Layout) (*certificate, error) {
	c := &certificate{certFile: filepath.Join(l.Cred(), "tls.crt"), keyFile: filepath.Join(l.Cred(), "tls.key")}
	if err := c.load(); err != nil {
		return nil, uerr.New(uerr.Precond, "read the server's certificate", c.certFile, err, "practicectl install")
	}
	return c, nil
}

func (c *certificate) load() error {
	info, err := os.Stat(c.certFile)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.cert, c.changed = &pair, info.ModTime()
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > 10*time.Second {
		c.looked = time.Now()
		if info, err := os.Stat(c.certFile); err == nil && !info.ModTime().Equal(c.changed) {
			_ = c.load() // half written, or gone: the old one serves until the next look
		}
	}
	return c.cert, nil
}
