package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// source gives the files of a repository by their slash-separated names.
type source interface {
	// open returns the content from byte off on. start says where it really begins: 0 when the source cannot resume.
	// A missing file is a *statusError 404.
	open(ctx context.Context, name string, off int64) (r io.ReadCloser, start int64, err error)
	String() string
}

// statusError is an answer other than success.
type statusError struct {
	code int
	what string // "metadata/timestamp.json"
}

func (e *statusError) Error() string {
	if e.code >= 300 && e.code < 400 {
		return fmt.Sprintf("%s: the source redirects elsewhere (HTTP %d), which is not followed", e.what, e.code)
	}
	if e.code == http.StatusNotFound {
		return e.what + " is not there: this is no release repository, or not a whole one"
	}
	return fmt.Sprintf("%s: HTTP %d %s", e.what, e.code, http.StatusText(e.code))
}

// absentError is a folder source that is not there.
type absentError struct{ err error }

func (e *absentError) Error() string { return "the folder is not there: " + e.err.Error() }

// errStalled is the cause when a source sends nothing, or too little, for too long.
var errStalled = errors.New("the source sends too slowly or not at all")

func openSource(o Options) (source, error) {
	u, err := url.Parse(o.Source)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		if u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("address %q", u.Redacted())
		}
		return newHTTPSource(u, o), nil
	}
	if o.Source == "" {
		return nil, errors.New("no source given")
	}
	if strings.Contains(o.Source, "://") {
		return nil, errors.New("only http, https and folders are understood")
	}
	dir, err := filepath.Abs(o.Source)
	return folderSource(dir), err
}

type httpSource struct {
	base   *url.URL
	client *http.Client
	stall  time.Duration
	agent  string
}

func newHTTPSource(u *url.URL, o Options) *httpSource {
	client := &http.Client{}
	if o.HTTP != nil {
		*client = *o.HTTP
	}
	if client.Transport == nil {
		client.Transport = &http.Transport{
			Proxy:                  o.Proxy,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  o.Stall,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true, // lengths are signed
			ForceAttemptHTTP2:      true,
		}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	agent := o.UserAgent
	if agent == "" {
		agent = "practicectl"
	}
	return &httpSource{base: u, client: client, stall: o.Stall, agent: agent}
}

func (s *httpSource) String() string { return s.base.Redacted() }

func (s *httpSource) open(ctx context.Context, name string, off int64) (io.ReadCloser, int64, error) {
	parent := ctx
	ctx, cancel := context.WithCancelCause(parent)
	w := &watchdog{cancel: cancel, stall: s.stall}
	w.timer = time.AfterFunc(s.stall, func() { cancel(errStalled) })
	fail := func(err error) (io.ReadCloser, int64, error) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		w.Stop()
		return nil, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.JoinPath(name).String(), nil)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("User-Agent", s.agent)
	if off > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(off, 10)+"-")
	}
	resp, err := s.client.Do(req) //nolint:bodyclose // w closes it
	if err != nil {
		return fail(err)
	}
	w.body, w.ctx = resp.Body, ctx
	switch {
	case resp.StatusCode == http.StatusOK:
		return w, 0, nil
	case resp.StatusCode == http.StatusPartialContent && off > 0 && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", off)):
		return w, off, nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && off > 0:
		_ = w.Close()
		return s.open(parent, name, 0)
	}
	_ = w.Close()
	return nil, 0, &statusError{code: resp.StatusCode, what: name}
}

// watchdog ends a transfer that stalls, or that drips so slowly that it would never end.
type watchdog struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // fires unless minPerStall bytes came since it was set
	stall  time.Duration
	got    int64
}

// minPerStall is how many bytes must come in the time of one stall.
const minPerStall = 4 << 10

func (w *watchdog) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if w.got += int64(n); w.got >= minPerStall {
		w.timer.Reset(w.stall)
		w.got = 0
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(w.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (w *watchdog) Stop() {
	w.timer.Stop()
	w.cancel(nil)
}

func (w *watchdog) Close() error {
	w.Stop()
	return w.body.Close()
}

// folderSource is a mirror on a disk, a share or a USB stick.
type folderSource string

func (s folderSource) String() string { return string(s) }

func (s folderSource) open(_ context.Context, name string, off int64) (io.ReadCloser, int64, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, 0, &statusError{code: http.StatusNotFound, what: name}
	}
	if _, err := os.Stat(string(s)); err != nil {
		return nil, 0, &absentError{err} // not plugged in, not mounted
	}
	path := filepath.Join(string(s), filepath.FromSlash(name))
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !st.Mode().IsRegular()) {
		return nil, 0, &statusError{code: http.StatusNotFound, what: name}
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	if off > st.Size() {
		off = 0
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, off, nil
}
