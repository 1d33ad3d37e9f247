package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"practicectl/internal/objstore/s3"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/s3gateway"
	"practicectl/internal/secret"
)

// within a minute, every question to a server is answered or the script fails
const answerWithin = time.Minute

func layout(ts *testscript.TestScript) paths.Layout {
	return paths.Layout{Prefix: ts.Getenv("PRACTICE_PREFIX"), Instance: paths.DefaultInstance}
}

// ask runs a query as the role that sees every row and prints the answer, one row a line.
func ask(ts *testscript.TestScript, c *pgcluster.Cluster, query string, args ...any) {
	askAs(ts, c, pgcluster.RoleMigrate, query, args...)
}

func askAs(ts *testscript.TestScript, c *pgcluster.Cluster, role, query string, args ...any) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	conn, err := c.Connect(ctx, role, pgcluster.DefaultDatabase)
	ts.Check(err)
	defer func() { _ = conn.Close(ctx) }() // all was read
	rows, err := conn.Query(ctx, query, args...)
	ts.Check(err)
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		words := make([]string, len(values))
		for i, v := range values {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, " "), err
	})
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), strings.Join(lines, "\n"))
}

// installed is the database of the installation.
func installed(ts *testscript.TestScript) *pgcluster.Cluster {
	port, err := strconv.Atoi(ts.Getenv("PGPORT"))
	ts.Check(err)
	return pgcluster.At(layout(ts), pgcluster.Binaries{}, port)
}

func sql(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "sql QUERY")
	if args[0] == "--admin" && len(args) > 1 {
		askAs(ts, installed(ts), pgcluster.Superuser, args[1])
		return
	}
	ask(ts, installed(ts), args[0])
}

// patients invents people whose name is easy to find where it must not be.
func patients(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "patients N")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ask(ts, installed(ts), `INSERT INTO pm.patient (id, family_name, given_name, sex, birth_date, city, owner_id, facility_id)
		SELECT gen_random_uuid(), 'Kanarienvogel-' || i, 'Kim ' || md5(i::text), 'x', date '1980-01-01' + i % 9000, 'Graz', a.id, f.id
		FROM generate_series(1, $1::int) i, (SELECT id FROM sec.account WHERE login = 'anna') a, (SELECT id FROM pm.facility LIMIT 1) f`, n)
}

// restored asks a restored copy; the copy gets a socket of its own.
func restored(b *bench) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 2, "restored DIR QUERY")
		ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
		defer cancel()
		dir := ts.MkAbs(args[0])
		socket, err := os.MkdirTemp(ts.Getenv("TMPDIR"), "r")
		ts.Check(err)
		c := &pgcluster.Cluster{Data: filepath.Join(dir, "pg"), SocketDir: socket, Log: filepath.Join(dir, "postgres.log"), Port: pgcluster.DefaultPort, Bin: b.Bundle}
		major, err := c.DataMajor()
		ts.Check(err)
		if major == b.System.Major {
			c.Bin = b.System
		}
		ts.Check(c.Configure(ctx, pgcluster.Settings{Name: "restored"}))
		ts.Check(c.Start(ctx))
		defer func() { ts.Check(c.Stop(ctx)) }()
		ask(ts, c, args[1])
	}
}

func askHTTPS(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "https CODE METHOD PATH")
	authority, err := os.ReadFile(filepath.Join(layout(ts).Cred(), "ca.crt"))
	ts.Check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		ts.Fatalf("ca.crt holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: answerWithin}
	req, err := http.NewRequest(args[1], ts.Getenv("URL")+args[2], nil)
	ts.Check(err)
	answer, err := client.Do(req)
	ts.Check(err)
	body, err := io.ReadAll(answer.Body)
	ts.Check(errors.Join(err, answer.Body.Close()))
	fmt.Fprintf(ts.Stdout(), "%s\n", body)
	if strconv.Itoa(answer.StatusCode) != args[0] {
		ts.Fatalf("%s: %s", answer.Status, body)
	}
}

// s3Server is the offsite store of a script.
func s3Server(b *bench) command {
	access, key := secret.New("access-of-e2e"), secret.New("canary-secret-of-e2e")
	return func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 1, "s3 start|stop|resume")
		ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
		defer cancel()
		o := s3gateway.Options{Binary: b.Gateway, Dir: ts.MkAbs("offsite"), AccessKey: access, SecretKey: key, Outlive: true}
		switch args[0] {
		case "stop":
			kill9(ts, false, []string{"versitygw"})
			return
		case "resume":
			port, err := strconv.Atoi(ts.Getenv("S3")[strings.LastIndex(ts.Getenv("S3"), ":")+1:])
			ts.Check(err)
			o.Port = port
		}
		g, err := s3gateway.Start(ctx, o)
		ts.Check(err)
		if args[0] == "resume" {
			return
		}
		ts.Setenv("S3", g.Endpoint)
		ts.Check(s3.MakeBucket(ctx, s3.Options{Endpoint: g.Endpoint, Bucket: "offsite", AccessKey: access, SecretKey: key}, true))
		text := fmt.Sprintf("access_key_id = %q\nsecret_access_key = %q\n", access.Reveal(), key.Reveal())
		ts.Check(os.WriteFile(ts.MkAbs("s3.toml"), []byte(text), 0o600))
	}
}
