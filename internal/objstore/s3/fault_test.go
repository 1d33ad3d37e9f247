package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

func open(t *testing.T, o s3.Options) objstore.Store {
	t.Helper()
	st, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func putText(ctx context.Context, st objstore.Store, key, text string, o objstore.PutOptions) error {
	_, err := st.Put(ctx, key, strings.NewReader(text), int64(len(text)), o)
	return err
}

func readAll(ctx context.Context, st objstore.Store, key string) (string, error) {
	r, err := st.Get(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

// everyOp runs each operation and returns its error by name.
func everyOp(ctx context.Context, st objstore.Store) map[string]error {
	out := map[string]error{
		"put":    putText(ctx, st, "k", "x", objstore.PutOptions{IfAbsent: true}),
		"delete": st.Delete(ctx, "k"),
		"retain": st.Retain(ctx, "k", "", time.Now().Add(time.Hour)),
	}
	_, out["get"] = readAll(ctx, st, "k")
	_, out["stat"] = st.Stat(ctx, "k")
	_, out["probe"] = st.Probe(ctx)
	for _, err := range st.List(ctx, "") {
		out["list"] = err
	}
	for _, err := range st.Versions(ctx, "k") {
		out["versions"] = err
	}
	return out
}

func TestStoreDownIsToldQuickly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	st := open(t, s3.Options{Endpoint: "http://" + addr, Bucket: "b-b", AccessKey: secret.New("canary-access"), SecretKey: secret.New("canary-secret")})
	start := time.Now()
	_, err = st.Stat(context.Background(), "k")
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
	if !errors.Is(err, objstore.ErrUnreachable) || uerr.KindOf(err) != uerr.Unreachable || uerr.HintOf(err) == "" {
		t.Errorf("%v, kind %v", err, uerr.KindOf(err))
	}
	for op, err := range everyOp(context.Background(), st) {
		if uerr.KindOf(err) != uerr.Unreachable {
			t.Errorf("%s: %v", op, err)
		}
		checkNoSecret(t, err, "canary-")
	}
}

func checkNoSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v %s", err, err, err, uerr.HintOf(err))
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("a credential shows in %q", text)
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	server := testenv.S3(t)
	bucket := server.NewBucket(t, false)
	wrongSecret, wrongKey := server.Options(bucket, ""), server.Options(bucket, "")
	wrongSecret.SecretKey = secret.New("canary-wrong-secret")
	wrongKey.AccessKey = secret.New("canary-wrong-key")
	for name, o := range map[string]s3.Options{"secret": wrongSecret, "key": wrongKey} {
		st := open(t, o)
		start := time.Now()
		for op, err := range everyOp(context.Background(), st) {
			if !errors.Is(err, objstore.ErrAuth) || uerr.KindOf(err) != uerr.Auth || uerr.HintOf(err) == "" {
				t.Errorf("wrong %s, %s: kind %v, %v", name, op, uerr.KindOf(err), err)
			}
			checkNoSecret(t, err, "canary-", server.AccessKey, server.SecretKey)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("it took %v: a refusal was tried again", d)
		}
		checkNoSecret(t, errors.New(st.String()+fmt.Sprintf("%v %+v", st, st)), "canary-wrong-secret")
	}
}

func TestMissingBucketIsNotAMissingObject(t *testing.T) {
	server := testenv.S3(t)
	st := server.Open(t, "no-such-bucket", "")
	for op, err := range everyOp(context.Background(), st) {
		if err == nil || errors.Is(err, objstore.ErrNotFound) || uerr.KindOf(err) != uerr.NotFound {
			t.Errorf("%s: kind %v, %v", op, uerr.KindOf(err), err)
		}
	}
}

func TestStoreGoesAwayInTheMiddle(t *testing.T) {
	server := testenv.S3(t)
	o := server.Options(server.NewBucket(t, false), "")
	o.Attempts = 3
	st := open(t, o)
	ctx := context.Background()
	if err := putText(ctx, st, "k", "x", objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := putText(ctx, st, "k2", "x", objstore.PutOptions{}); uerr.KindOf(err) != uerr.Unreachable {
		t.Errorf("%v", err)
	}
}

func TestBrokenConnections(t *testing.T) {
	server := testenv.S3(t)
	proxy := testenv.NewFaultProxy(t, server.Endpoint)
	o := server.Options(server.NewBucket(t, false), "")
	o.Endpoint = proxy.URL
	st := open(t, o)
	ctx := context.Background()
	text := strings.Repeat("0123456789abcdef", 40_000) // 640 kB
	if err := putText(ctx, st, "big", text, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}

	proxy.Set(testenv.Fault{CutUp: 100_000, Connections: 2})
	if err := putText(ctx, st, "cut", text, objstore.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("an upload that broke twice: %v", err)
	}
	if proxy.Hurt() != 2 {
		t.Errorf("%d connections broke", proxy.Hurt())
	}
	proxy.Set(testenv.Fault{CutDown: 200_000, Connections: 3})
	if got, err := readAll(ctx, st, "big"); err != nil || got != text {
		t.Errorf("a download that broke three times: %d bytes, %v", len(got), err)
	}
	if proxy.Hurt() != 3 {
		t.Errorf("%d connections broke", proxy.Hurt())
	}

	// The answer to a successful conditional create is lost: the second try finds our own object.
	proxy.Set(testenv.Fault{DropAnswer: true, DropAnswerTo: "PUT ", Connections: 1})
	if err := putText(ctx, st, "commit", "snapshot", objstore.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("a create whose answer was lost: %v", err)
	}
	if proxy.Hurt() != 1 {
		t.Errorf("%d connections broke", proxy.Hurt())
	}
	// The same, but somebody else's object is there.
	proxy.Set(testenv.Fault{DropAnswer: true, DropAnswerTo: "PUT ", Connections: 1})
	if err := putText(ctx, st, "commit", "other", objstore.PutOptions{IfAbsent: true}); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("a create of a taken key: %v", err)
	}

	// A bit flips on the line: the service notices and the next try is good.
	proxy.Set(testenv.Fault{FlipUp: 300_000, Connections: 1})
	if err := putText(ctx, st, "flip", text, objstore.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("an upload that was changed once: %v", err)
	}
	proxy.Set(testenv.Fault{})
	for _, key := range []string{"cut", "flip"} {
		if got, err := readAll(ctx, st, key); err != nil || got != text {
			t.Errorf("%s: %d bytes, %v", key, len(got), err)
		}
	}
}

func TestAlwaysChangedUploadIsAnIntegrityError(t *testing.T) {
	server := testenv.S3(t)
	proxy := testenv.NewFaultProxy(t, server.Endpoint)
	o := server.Options(server.NewBucket(t, false), "")
	o.Endpoint, o.Attempts = proxy.URL, 2
	st := open(t, o)
	proxy.Set(testenv.Fault{FlipUp: 30_000, FlipOften: true})
	err := putText(context.Background(), st, "flip", strings.Repeat("x", 60_000), objstore.PutOptions{})
	if uerr.KindOf(err) != uerr.Integrity {
		t.Errorf("kind %v: %v", uerr.KindOf(err), err)
	}
	proxy.Set(testenv.Fault{})
	if _, err := st.Stat(context.Background(), "flip"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("the changed object was stored: %v", err)
	}
}

func TestSilentStoreTimesOut(t *testing.T) {
	server := testenv.S3(t)
	proxy := testenv.NewFaultProxy(t, server.Endpoint)
	o := server.Options(server.NewBucket(t, false), "")
	o.Endpoint, o.StallTimeout, o.Attempts = proxy.URL, 300*time.Millisecond, 2
	st := open(t, o)
	proxy.Set(testenv.Fault{Hang: true})
	start := time.Now()
	if _, err := st.Stat(context.Background(), "k"); !errors.Is(err, objstore.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("it took %v", d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := st.Stat(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
	// A slow but steady upload longer than the stall timeout goes through.
	proxy.Set(testenv.Fault{})
	slow := objstore.Limit(st, 200_000)
	if err := putText(context.Background(), slow, "slow", strings.Repeat("x", 150_000), objstore.PutOptions{}); err != nil {
		t.Errorf("slow upload: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := s3.Options{Endpoint: "https://s3.example.test", Bucket: "b-b", AccessKey: secret.New("canary-a"), SecretKey: secret.New("canary-s")}
	for name, change := range map[string]func(*s3.Options){
		"no scheme":    func(o *s3.Options) { o.Endpoint = "s3.example.test" },
		"ftp":          func(o *s3.Options) { o.Endpoint = "ftp://s3.example.test" },
		"user in URL":  func(o *s3.Options) { o.Endpoint = "https://canary-a:canary-s@s3.example.test" },
		"path in URL":  func(o *s3.Options) { o.Endpoint = "https://s3.example.test/bucket" },
		"no bucket":    func(o *s3.Options) { o.Bucket = "" },
		"no secret":    func(o *s3.Options) { o.SecretKey = secret.Text{} },
		"prefix dots":  func(o *s3.Options) { o.Prefix = "../other" },
		"CA missing":   func(o *s3.Options) { o.CAFile = "/nonexistent/ca.pem" },
		"CA not a PEM": func(o *s3.Options) { o.CAFile = "/etc/hostname" },
	} {
		o := good
		change(&o)
		_, err := s3.Open(o)
		if uerr.KindOf(err) != uerr.Config {
			t.Errorf("%s: %v", name, err)
		}
		checkNoSecret(t, err, "canary-")
	}
	if _, err := s3.Open(good); err != nil {
		t.Error(err)
	}
}
