package installer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// Files of the local certificate authority and of the server's certificate in the credential folder.
const (
	CAKeyFile  = "ca.key"
	CACertFile = "ca.crt"
	TLSKeyFile = "tls.key"
	TLSCert    = "tls.crt"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 397 * 24 * time.Hour // what browsers accept at most
	renewAt  = leafLife / 3         // what must be left of it
)

// FingerprintOf returns the SHA-256 of the certificate in a PEM file, in hex: what people compare before they trust it.
func FingerprintOf(path string) (string, error) {
	c, err := readCertificate(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:]), nil
}

// authority makes a local certificate authority. Browsers that trust it trust it for names of the local network only.
func authority(dir, practice string, names []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	dns, _ := splitNames(names)
	if practice == "" {
		practice = "Practice"
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: practice + " local authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 0, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         append([]string{"localhost", "lan", "local", "internal", "intranet", "home.arpa"}, dns...),
		PermittedIPRanges:           privateNetworks(),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	return writePair(dir, CAKeyFile, CACertFile, key, der)
}

func privateNetworks() []*net.IPNet {
	var all []*net.IPNet
	for _, cidr := range []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10"} {
		_, n, err := net.ParseCIDR(cidr)
		if err != nil {
			panic(err) // a constant
		}
		all = append(all, n)
	}
	return all
}

// serverCertificate makes the server's certificate for names, signed by the authority in dir.
func serverCertificate(dir string, names []string, now time.Time) error {
	ca, caKey, err := readPair(dir, CAKeyFile, CACertFile)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	dns, ips := splitNames(names)
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: dns, IPAddresses: ips,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	// The authority is sent along: a client that was given its fingerprint recognises the server by it.
	return writePair(dir, TLSKeyFile, TLSCert, key, der, ca.Raw)
}

// checkCertificate says what is wrong with the server's certificate; nil when it serves all names for a while yet.
func checkCertificate(dir string, names []string, now time.Time) error {
	ca, _, err := readPair(dir, CAKeyFile, CACertFile)
	if err != nil {
		return err
	}
	leaf, _, err := readPair(dir, TLSKeyFile, TLSCert)
	if err != nil {
		return err
	}
	if text, err := os.ReadFile(filepath.Join(dir, TLSCert)); err != nil || bytes.Count(text, []byte("BEGIN CERTIFICATE")) != 2 {
		return errors.Join(err, errors.New("it does not carry its authority"))
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, name := range names {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			return err
		}
	}
	if left := leaf.NotAfter.Sub(now); left < renewAt {
		return fmt.Errorf("it expires on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// permits reports whether the authority may sign for a name or address.
func permits(ca *x509.Certificate, name string) bool {
	if ip := net.ParseIP(name); ip != nil {
		return slices.ContainsFunc(ca.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(ip) })
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc(ca.PermittedDNSDomains, func(d string) bool {
		d = strings.ToLower(d)
		return name == d || strings.HasSuffix(name, "."+d)
	})
}

// checkPermitted refuses names that the authority in dir may not sign for. Error kind: Precond.
func checkPermitted(dir string, names []string) error {
	ca, err := readCertificate(filepath.Join(dir, CACertFile))
	if err != nil {
		return err
	}
	for _, name := range names {
		if !permits(ca, name) {
			return uerr.New(uerr.Precond, "vouch for", name, errors.New("the practice's authority, which the workstations trust, was made without this name"),
				"give --url with a name that it may sign for: "+strings.Join(ca.PermittedDNSDomains, ", ")+" or one below these")
		}
	}
	return nil
}

// serverNames are the names and addresses that the server is reached at.
func serverNames(hostname, rawURL, listen string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	add := func(n string) {
		if ip := net.ParseIP(n); n != "" && (ip == nil || !ip.IsUnspecified()) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	add(hostname)
	if u, err := url.Parse(rawURL); err == nil {
		add(u.Hostname())
	}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		add(host)
	}
	return names
}

func splitNames(names []string) (dns []string, ips []net.IP) {
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, n)
		}
	}
	return dns, ips
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// writePair writes the key before the certificate: without the certificate the pair does not count.
func writePair(dir, keyName, certName string, key *ecdsa.PrivateKey, chain ...[]byte) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := removeFile(filepath.Join(dir, certName)); err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, keyName), 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})); err != nil {
		return err
	}
	var text []byte
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return atomicfile.WriteBytes(filepath.Join(dir, certName), 0o644, text)
}

func readPair(dir, keyName, certName string) (*x509.Certificate, crypto.Signer, error) {
	cert, err := readCertificate(filepath.Join(dir, certName))
	if err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, keyName))
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, nil, fmt.Errorf("%s is not PEM", keyName)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if pub, isECDSA := cert.PublicKey.(*ecdsa.PublicKey); !ok || !isECDSA || !pub.Equal(key.Public()) {
		return nil, nil, errors.New(keyName + " does not belong to " + certName)
	}
	return cert, key, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
