// Package trust decides which releases are genuine, whatever the mirror in between says or withholds.
//
// It is the only home of go-tuf. go-tuf decides what is trusted; bytes are moved by this package's own downloader,
// which streams, resumes and verifies while writing.
package trust

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"practicectl/internal/uerr"
	"practicectl/release"
)

// embeddedRoot is where all trust starts. The one in the source tree belongs to nobody: its keys were thrown away.
// Every vendor build replaces it.
//
//go:embed root.json
var embeddedRoot []byte

// How long signed metadata is still used after it expired.
const (
	Online = "online" // not at all
	LAN    = "lan"    // 30 days
	AirGap = "airgap" // 200 days
)

// Day is 24 hours.
const day = 24 * time.Hour

// maxAhead is how far the clock may be ahead of the newest signed time before the clock is suspected rather than the
// source. It also bounds what is remembered of a clock, so that one boot in 2040 does not expire everything for ever.
const maxAhead = 400 * day

// Options say where releases come from and what is already known.
type Options struct {
	Source  string // http(s) URL or folder of a repository or mirror
	Dir     string // state: root history, newest metadata seen. Losing it loses rollback protection, not trust
	Channel string // release.Stable, LTS or Beta
	Mode    string // Online, LAN or AirGap; "" is Online
	Now     func() time.Time
	HTTP    *http.Client // nil: own client with time-outs. Redirects are never followed

	Root      []byte    // trusted root metadata; nil: the embedded one
	Built     time.Time // no release is older than the program: a clock before it is raised to it
	Proxy     func(*http.Request) (*url.URL, error)
	Stall     time.Duration // give up when no byte comes for this long; 0: 30 s
	Attempts  int           // tries per target, each resuming; 0: 4
	UserAgent string
}

// Client checks and fetches releases. Its methods are safe for concurrent use; two processes need separate Dirs or a
// lock around them.
type Client struct {
	o     Options
	src   source
	grace time.Duration
	mu    sync.Mutex // guards Dir
}

// Open checks the options and makes the state folder. Error kinds: Config, Precond.
func Open(o Options) (*Client, error) {
	const op = "open the release source"
	c := &Client{o: o}
	if c.o.Now == nil {
		c.o.Now = time.Now
	}
	if c.o.Root == nil {
		c.o.Root = embeddedRoot
	}
	if c.o.Stall == 0 {
		c.o.Stall = 30 * time.Second
	}
	if c.o.Attempts == 0 {
		c.o.Attempts = 4
	}
	switch o.Mode {
	case "", Online:
	case LAN:
		c.grace = 30 * day
	case AirGap:
		c.grace = 200 * day
	default:
		return nil, uerr.New(uerr.Config, op, o.Source, fmt.Errorf("mode %q is not online, lan or airgap", o.Mode), "practicectl config validate")
	}
	if o.Channel != "" && !release.IsChannel(o.Channel) {
		return nil, uerr.New(uerr.Config, op, o.Source, fmt.Errorf("channel %q is not stable, lts or beta", o.Channel), "practicectl config validate")
	}
	src, err := openSource(c.o)
	if err != nil {
		return nil, uerr.New(uerr.Config, op, o.Source, err, "give an http(s) address or the folder of a mirror")
	}
	c.src = src
	if o.Dir == "" {
		return nil, uerr.New(uerr.Config, op, o.Source, fmt.Errorf("no state folder"), "")
	}
	for _, d := range []string{c.rootsDir(), c.metadataDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, uerr.New(uerr.Precond, op, o.Source, err, "check the permissions of "+o.Dir)
		}
	}
	return c, nil
}

func (c *Client) rootsDir() string    { return filepath.Join(c.o.Dir, "roots") }
func (c *Client) metadataDir() string { return filepath.Join(c.o.Dir, "metadata") }
func (c *Client) clockFile() string   { return filepath.Join(c.o.Dir, "clock.json") }
