package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// ServeOptions say where and how a mirror listens.
type ServeOptions struct {
	Listen    string           // host:port; port 0 chooses one
	Ready     func(url string) // called once it listens
	SyncEvery time.Duration    // also sync on this schedule, the first time at once; 0: never
	Sync      SyncOptions      // for SyncEvery
	Log       *slog.Logger     // nil: silent
	Now       func() time.Time
}

// Serve serves the mirror in dir over HTTP until ctx ends, then finishes running transfers for up to ten seconds.
// TLS is not needed: clients trust signatures, not the connection. Error kinds: NotFound, Precond when it cannot listen.
func Serve(ctx context.Context, dir string, o ServeOptions) error {
	if _, err := Load(dir); err != nil {
		return err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return uerr.New(uerr.Precond, "serve the mirror on", o.Listen, err, "choose another address: practicectl mirror serve --listen HOST:PORT")
	}
	f, m := folder(dir), &meter{}
	h, err := newHandler(f.repo(), m, o.Now)
	if err != nil {
		return errors.Join(uerr.New(uerr.Precond, "serve the mirror in", dir, err, ""), l.Close())
	}
	defer h.root.Close()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	before := readCounters(f.counters())
	var background sync.WaitGroup
	inner, stop := context.WithCancel(ctx)
	background.Go(func() { saveCounters(inner, f, m, before, o.Log) })
	if o.SyncEvery > 0 {
		background.Go(func() { keepSyncing(inner, dir, o) })
	}
	background.Go(func() {
		<-inner.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(last); err != nil {
			o.Log.Warn("end running transfers", "error", err)
			_ = srv.Close()
		}
	})
	if o.Ready != nil {
		o.Ready(URL(l.Addr()))
	}
	err = srv.Serve(meteredListener{l, &m.bytes})
	stop()
	background.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return uerr.New(uerr.Failed, "serve the mirror in", dir, err, "")
	}
	return nil
}

// URL is how clients on this machine reach addr.
func URL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// keepSyncing syncs now and then on schedule. A failed sync is logged and shown by status; serving goes on.
func keepSyncing(ctx context.Context, dir string, o ServeOptions) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if rep, err := Sync(ctx, dir, o.Sync); err != nil {
			o.Log.Warn("sync failed; the mirror serves what it has", "error", err)
		} else {
			o.Log.Info("synced", "timestamp", rep.Timestamp, "fetched", rep.Fetched)
		}
		timer.Reset(o.SyncEvery)
	}
}

// saveCounters writes the counters every minute and at the end.
func saveCounters(ctx context.Context, f folder, m *meter, before Counters, log *slog.Logger) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-tick.C:
		}
		if err := writeJSON(f.counters(), m.add(before)); err != nil {
			log.Warn("write the counters", "error", err)
		}
	}
}

// handler answers for the two folders of a repository and nothing else.
type handler struct {
	root  *os.Root // nothing outside of it can be opened, whatever the name or a link says
	meter *meter
	now   func() time.Time
	// A client that takes an answer more slowly is left: it would hold the file and the connection for ever.
	grace   time.Duration
	slowest int64 // bytes a second
	mu      sync.RWMutex
	small   map[string]smallFile
}

// smallFile is a metadata file in memory.
type smallFile struct {
	data []byte
	etag string
	on   os.FileInfo // the file it was read from
}

func newHandler(repo string, m *meter, now func() time.Time) (*handler, error) {
	root, err := os.OpenRoot(repo)
	return &handler{root: root, meter: m, now: now, grace: time.Minute, slowest: 4 << 10, small: map[string]smallFile{}}, err
}

var metadataName = regexp.MustCompile(`^metadata/(timestamp|[0-9]{1,9}\.[a-z]{1,20})\.json$`)

// maxSmall bounds the metadata that is held in memory: the largest that a client accepts.
const maxSmall = 5_000_000

// within gives an answer of n bytes its time.
func (h *handler) within(w http.ResponseWriter, n int64) {
	limit := h.grace + time.Duration(n/h.slowest)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit)) // without one the answer is the same
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.within(w, maxSmall)
	h.meter.last.Store(h.now().Unix())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.meter.refused.Add(1)
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	name := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case metadataName.MatchString(name):
		h.metadata(w, r, name)
	case strings.HasPrefix(name, "targets/") && release.CheckPath(strings.TrimPrefix(name, "targets/")) == nil:
		h.target(w, r, name)
	default:
		h.missing(w)
	}
}

// missing is always 404: anything else in place of the next root's number would stop clients from checking.
func (h *handler) missing(w http.ResponseWriter) {
	h.meter.refused.Add(1)
	http.Error(w, "not in this repository", http.StatusNotFound)
}

func (h *handler) metadata(w http.ResponseWriter, r *http.Request, name string) {
	f, err := h.load(name)
	if err != nil {
		h.missing(w)
		return
	}
	h.meter.metadata.Add(1)
	head := w.Header()
	head.Set("ETag", f.etag)
	head.Set("Cache-Control", "no-cache")
	if match := r.Header.Get("If-None-Match"); match == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	head.Set("Content-Type", "application/json")
	head.Set("Content-Length", strconv.Itoa(len(f.data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(f.data) // the client has gone: nobody is left to tell
	}
}

// load gives a metadata file from memory, reading it anew when a sync has replaced it.
func (h *handler) load(name string) (smallFile, error) {
	st, err := h.root.Stat(filepath.FromSlash(name))
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxSmall {
		return smallFile{}, errors.Join(err, fs.ErrNotExist)
	}
	h.mu.RLock()
	f, ok := h.small[name]
	h.mu.RUnlock()
	if ok && os.SameFile(f.on, st) && f.on.Size() == st.Size() && f.on.ModTime().Equal(st.ModTime()) {
		return f, nil
	}
	data, err := h.root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return smallFile{}, err
	}
	sum := sha256.Sum256(data)
	f = smallFile{data: data, etag: `"` + hex.EncodeToString(sum[:16]) + `"`, on: st}
	h.mu.Lock()
	h.small[name] = f
	h.mu.Unlock()
	return f, nil
}

// target sends a file straight from the disk; http.ServeContent answers ranges and conditions. w is not wrapped, so
// that the kernel copies.
func (h *handler) target(w http.ResponseWriter, r *http.Request, name string) {
	f, err := h.root.Open(filepath.FromSlash(name))
	if err != nil {
		h.missing(w)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		h.missing(w)
		return
	}
	h.meter.targets.Add(1)
	h.within(w, st.Size())
	sum, _, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ".")
	head := w.Header()
	head.Set("ETag", `"`+sum+`"`)
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	head.Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", st.ModTime(), io.ReadSeeker(f))
}
