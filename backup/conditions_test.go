package backup_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/backup/retain"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/progress"
	"practicectl/internal/testenv"
)

// TestO7_AStoreWithoutConditionalWritesWorksAndSaysWhatIsWeaker puts a gate before a real server that refuses conditions on a
// write, as some services do.
func TestO7_AStoreWithoutConditionalWritesWorksAndSaysWhatIsWeaker(t *testing.T) {
	server := testenv.S3(t)
	upstream, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	conditions := 0
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		r.Out.Host = r.In.Host // it is signed
	}}
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.Header.Get("If-None-Match")+r.Header.Get("If-Match") != "" {
			conditions++
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(gate.Close)
	o := server.Options(server.NewBucket(t, true), "praxis")
	o.Endpoint = gate.URL
	st, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	caps, err := st.Probe(t.Context())
	if err != nil || caps.IfAbsent || caps.IfMatch || !caps.ObjectLock || conditions == 0 {
		t.Fatalf("%+v, %v, %d conditions", caps, err, conditions)
	}
	g := newRigWith(t, st, backup.InitOptions{ObjectLock: caps.ObjectLock, Unconditional: !caps.IfAbsent})
	if weaker := backup.Weaker(*g.keys.Pin); len(weaker) != 1 || !strings.Contains(weaker[0], "conditional writes") {
		t.Errorf("what is weaker: %v", weaker)
	}
	src := backup.Source{Paths: []string{writeFiles(t, 31)}}
	g.run(src)
	conditions = 0
	if rep := g.run(src); rep.Uploaded > 64<<10 || conditions != 0 {
		t.Errorf("%d bytes, %d conditions", rep.Uploaded, conditions)
	}
	if err := repo.Create(t.Context(), g.host().Store, repo.RootKey, []byte("x")); objstore.KindOf(err) != objstore.KindOf(objstore.ErrExists) {
		t.Errorf("the root is overwritten: %v", err)
	}
	plan, err := backup.PlanPrune(t.Context(), g.host(), backup.PruneOptions{Policy: retain.Default, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Run(t.Context(), progress.None); err != nil {
		t.Errorf("prune: %v", err)
	}
	g.verifyAll()
	target := filepath.Join(t.TempDir(), "x")
	g.restore("latest", target, backup.RestoreOptions{})
	sameTree(t, src.Paths[0], filepath.Join(target, "files", src.Paths[0]))
}
