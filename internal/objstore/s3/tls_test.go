package s3_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/s3gateway"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

func TestHTTPSWithOwnCA(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	binary, err := s3gateway.Find(ctx, testenv.ToolsDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := s3gateway.Start(ctx, s3gateway.Options{Binary: binary, Dir: t.TempDir(), AccessKey: secret.New("access"), SecretKey: secret.New("secret"), CertFile: cert, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Stop() })
	o := s3.Options{Endpoint: g.Endpoint, Bucket: "tls-bucket", AccessKey: secret.New("access"), SecretKey: secret.New("secret"), CAFile: cert}
	if err := s3.MakeBucket(ctx, o, true); err != nil {
		t.Fatal(err)
	}
	if err := s3.MakeBucket(ctx, o, true); uerr.KindOf(err) != uerr.Precond {
		t.Errorf("the same bucket again: %v", err)
	}
	st := open(t, o)
	text := strings.Repeat("x", 300_000)
	if err := putText(ctx, st, "k", text, objstore.PutOptions{IfAbsent: true, RetainUntil: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if got, err := readAll(ctx, st, "k"); err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	o.CAFile = ""
	if _, err := open(t, o).Stat(ctx, "k"); uerr.KindOf(err) != uerr.Auth || uerr.HintOf(err) == "" {
		t.Errorf("an unknown CA: kind %v, %v", uerr.KindOf(err), err)
	}
	o.Endpoint = strings.Replace(g.Endpoint, "https:", "http:", 1)
	if _, err := open(t, o).Stat(ctx, "k"); err == nil || errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("http to an https port: %v", err)
	}
}

func selfSigned(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "store"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
