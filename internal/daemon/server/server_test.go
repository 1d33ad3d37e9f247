package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"practicectl/internal/api"
	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
	"practicectl/server/store"
)

// clinic is an instance as the installer leaves it: database, configuration, certificate.
type clinic struct {
	layout paths.Layout
	pg     *pgcluster.Cluster
	cfg    config.File
}

func newClinic(t *testing.T, major int) *clinic {
	t.Helper()
	c := &clinic{pg: testenv.PG(t, major, testenv.Bootstrapped)}
	prefix, err := os.MkdirTemp("", "srv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(prefix) })
	if c.layout, err = paths.New(prefix, "main"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{c.layout.Cred(), filepath.Dir(c.layout.Run())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(c.pg.SocketDir, c.layout.Run()); err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, c.layout.Cred())
	c.cfg = config.Default()
	c.cfg.Database.Port = c.pg.Port
	c.cfg.Server.Listen = freeAddress(t)
	c.cfg.Server.URL = "https://" + c.cfg.Server.Listen
	if err := config.Save(c.layout.Config(), &c.cfg); err != nil {
		t.Fatal(err)
	}
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"tls.crt": cert, "ca.crt": cert, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (c *clinic) command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e syncBuffer
	code = Main(t.Context(), append(args, "--prefix", c.layout.Prefix, "--instance", "main"), &o, &e)
	return code, o.String(), e.String()
}

// serve runs the server until the test ends, or stop is called.
func (c *clinic) serve(t *testing.T, args ...string) (log *syncBuffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log = &syncBuffer{}
	done := make(chan int, 1)
	go func() {
		done <- Main(ctx, append([]string{"serve", "--prefix", c.layout.Prefix}, args...), &syncBuffer{}, log)
	}()
	stop = sync.OnceValue(func() int { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if strings.Contains(log.String(), `"msg":"serving"`) {
			return log, stop
		}
		if time.Now().After(end) {
			t.Fatalf("the server does not come up: %s", log)
		}
	}
}

func (c *clinic) client(t *testing.T) *api.Client {
	t.Helper()
	cl, err := api.NewClient(c.cfg.Server.URL, filepath.Join(c.layout.Cred(), "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func TestTheServerServesAPractice(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) {
			c := newClinic(t, major)
			ctx := t.Context()
			if code, _, errs := c.command(t, "serve", "--wait", "0s"); code != 14 || !strings.Contains(errs, "practice-server migrate") {
				t.Fatalf("before migrating: exit %d, %s", code, errs)
			}
			if code, out, errs := c.command(t, "schema", "--json"); code != 0 || out != fmt.Sprintf(`{"known":%d,"applied":0,"oldest":0,"floor":%d}`+"\n", store.Known(), store.Floor()) {
				t.Fatalf("schema: exit %d, %s%s", code, out, errs)
			}
			for range 2 { // the second changes nothing
				if code, _, errs := c.command(t, "migrate"); code != 0 {
					t.Fatalf("migrate: exit %d, %s", code, errs)
				}
			}
			log, stop := c.serve(t)

			local := api.NewLocalClient(c.layout.AdminSocket())
			var inv api.Invitation
			if err := local.Do(ctx, "POST", "/v1/first-admin", api.FirstAdmin{Login: "Anna", Name: "Dr. Anna Berg"}, &inv); err != nil {
				t.Fatal(err)
			}
			web := c.client(t)
			const password = "ein sehr langer Satz 17"
			if err := web.Do(ctx, "POST", "/api/v1/activate", api.Activate{Login: "anna", Code: strings.ToLower(inv.Code), Password: password}, nil); err != nil {
				t.Fatal(err)
			}
			if err := local.Do(ctx, "POST", "/v1/first-admin", api.FirstAdmin{Login: "eve", Name: "Eve"}, nil); uerr.KindOf(err) != uerr.Precond {
				t.Fatalf("a second first administrator: %v", err)
			}
			if err := web.SignIn(ctx, "anna", secret.New("falsch falsch falsch")); uerr.KindOf(err) != uerr.Auth {
				t.Fatalf("wrong password: %v", err)
			}
			if err := web.SignIn(ctx, "anna", secret.New(password)); err != nil {
				t.Fatal(err)
			}
			const canary = "Kanarienvogelbauer"
			var p api.Patient
			if err := web.Do(ctx, "POST", "/api/v1/patients", api.Patient{FamilyName: canary, Remark: canary}, &p); err != nil {
				t.Fatal(err)
			}
			var page api.Page[api.Patient]
			if err := web.Do(ctx, "GET", "/api/v1/patients?q="+canary, nil, &page); err != nil || page.Total != 1 {
				t.Fatalf("search: %v %+v", err, page)
			}
			if err := web.Do(ctx, "POST", "/api/v1/patients", map[string]string{canary: canary}, nil); uerr.KindOf(err) != uerr.Usage {
				t.Fatalf("unknown field: %v", err)
			}
			if err := web.Do(ctx, "GET", "/readyz", nil, nil); err != nil {
				t.Fatal(err)
			}
			if code, _, errs := c.command(t, "serve", "--wait", "0s"); code != 14 || !strings.Contains(errs, "address already in use") {
				t.Fatalf("second server: exit %d, %s", code, errs)
			}
			metrics := c.get(t, "/metrics")
			if !strings.Contains(metrics, `practice_http_requests_total{code="200",method="GET",route="GET /api/v1/patients"} 1`) {
				t.Errorf("metrics miss the search:\n%s", metrics)
			}
			if code := stop(); code != 0 {
				t.Fatalf("stopping gave exit %d: %s", code, log)
			}
			for name, text := range map[string]string{"log": log.String(), "metrics": metrics} {
				for _, private := range []string{canary, password, inv.Code, "anna"} {
					if strings.Contains(strings.ToLower(text), strings.ToLower(private)) {
						t.Errorf("the %s tells %q:\n%s", name, private, text)
					}
				}
			}
			for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
				if !json.Valid([]byte(line)) {
					t.Errorf("log line is no JSON: %s", line)
				}
			}
		})
	}
}

func (c *clinic) get(t *testing.T, path string) string {
	t.Helper()
	pool := x509.NewCertPool()
	data, err := os.ReadFile(filepath.Join(c.layout.Cred(), "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(data)
	cl := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsTrusting(pool), DisableKeepAlives: true}}
	resp, err := cl.Get(c.cfg.Server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestInMaintenanceOnlyProbesAnswer(t *testing.T) {
	c := newClinic(t, testenv.PGMajors[0])
	if code, _, errs := c.command(t, "migrate"); code != 0 {
		t.Fatal(errs)
	}
	c.serve(t, "--maintenance")
	for path, want := range map[string]string{"/livez": `"ok":true`, "/readyz": `"ok":true`, "/metrics": "practice_build_info", "/api/v1/me": `"unavailable"`, "/": "Wartung"} {
		if got := c.get(t, path); !strings.Contains(got, want) {
			t.Errorf("%s answers %q", path, got)
		}
	}
	if err := c.client(t).SignIn(t.Context(), "anna", secret.New("x")); uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("signing in: %v", err)
	}
}

func TestReadyzTellsThatTheDatabaseIsAway(t *testing.T) {
	c := newClinic(t, testenv.PGMajors[0])
	if code, _, errs := c.command(t, "migrate"); code != 0 {
		t.Fatal(errs)
	}
	c.serve(t)
	if err := c.pg.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.get(t, "/readyz"); !strings.Contains(got, `"why":"cannot reach the database"`) || strings.Contains(got, c.layout.Prefix) || strings.Contains(got, "pm_server") {
		t.Errorf("/readyz answers %s", got)
	}
	if got := c.get(t, "/livez"); !strings.Contains(got, `"ok":true`) {
		t.Errorf("/livez answers %s", got)
	}
	if err := c.client(t).SignIn(t.Context(), "anna", secret.New("x")); uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("signing in: %v", err)
	}
	if err := c.pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(c.get(t, "/readyz"), `"ok":true`+"}\n"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server does not come back with its database: %s", c.get(t, "/readyz"))
		}
	}
	if err := c.client(t).SignIn(t.Context(), "anna", secret.New("x")); uerr.KindOf(err) != uerr.Auth {
		t.Errorf("signing in after the database came back: %v", err)
	}
}

func TestAFolderOfSocketsThatAnybodyMayWriteIsRefused(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), strings.Repeat("p", 90)) // too long for sockets: they lie in the temporary folder
	l, err := paths.New(prefix, "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(l.Run(), 0o777), os.Chmod(l.Run(), 0o777)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(l.Run()) })
	var out, errs syncBuffer
	if code := Main(t.Context(), []string{"schema", "--prefix", prefix}, &out, &errs); code != 14 || !strings.Contains(errs.String(), "belongs to somebody else") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

func tlsTrusting(pool *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
