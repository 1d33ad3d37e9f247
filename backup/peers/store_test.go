package peers

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"practicectl/internal/testenv"
)

// store is the S3 server that all programs share; they are told apart by the prefix.
type store struct {
	*testenv.S3Server
	Line   string // what the programs are told; Endpoint, or a proxy before it
	Bucket string
	client *http.Client
}

func newStore(t testing.TB) *store {
	t.Helper()
	s := &store{S3Server: testenv.MinIO(t)}
	s.Line = s.Endpoint
	s.Bucket = s.NewBucket(t, false)
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	return s
}

// traffic is what the server has counted since its start.
func (m *machine) traffic(t testing.TB) (c cost) {
	t.Helper()
	resp, err := m.store.client.Get(m.store.Endpoint + "/minio/metrics/v3/api/requests")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() // only read
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("metrics of the store: %s, %v", resp.Status, err)
	}
	for line := range strings.Lines(string(text)) {
		name, number, _ := strings.Cut(line, "}")
		value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !strings.Contains(name, `type="s3"`) {
			continue
		}
		switch metric, _, _ := strings.Cut(name, "{"); metric {
		case "minio_api_requests_total":
			c.Requests += int64(value)
		case "minio_api_requests_traffic_received_bytes":
			c.Sent += int64(value)
		case "minio_api_requests_traffic_sent_bytes":
			c.Received += int64(value)
		}
	}
	return c
}
