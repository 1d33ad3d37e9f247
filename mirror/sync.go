package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/diskspace"
	"practicectl/internal/lockfile"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

// SyncOptions are what a sync needs besides the settings of its mirror.
type SyncOptions struct {
	Root     []byte // trusted root; nil: the one built into this program
	Now      func() time.Time
	HTTP     *http.Client
	Proxy    func(*http.Request) (*url.URL, error)
	Progress progress.Reporter
	Plan     bool                            // only say what would be fetched
	Scrub    bool                            // read every stored file again and fetch the damaged ones
	Free     func(dir string) (int64, error) // free bytes; nil: ask the system
	Wait     time.Duration                   // for another sync to end; 0: refuse
}

// SyncReport says what a sync brought.
type SyncReport struct {
	When      time.Time         `json:"when"`
	Source    string            `json:"source"`
	Timestamp int64             `json:"timestamp"`
	Root      int64             `json:"root"`
	Issued    time.Time         `json:"issued"`
	Expires   time.Time         `json:"expires"`
	Stale     bool              `json:"stale"`
	Latest    map[string]string `json:"latest"` // channel → version
	Expired   []string          `json:"expired_channels,omitempty"`
	Fetched   int               `json:"fetched"`
	Bytes     int64             `json:"fetched_bytes"`
	Kept      int               `json:"kept"`
}

// Sync brings the mirror in dir up to date: metadata verified, missing targets fetched and verified, then put in
// place, timestamp.json last. Clients see the whole old state until they see the whole new one. Error kinds: Locked,
// Unreachable, Integrity (nothing of it is published), NoSpace, Precond.
func Sync(ctx context.Context, dir string, o SyncOptions) (SyncReport, error) {
	s, err := Load(dir)
	if err != nil {
		return SyncReport{}, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = progress.None
	}
	if o.Free == nil {
		o.Free = diskspace.Free
	}
	f := folder(dir)
	held, lock, err := lockfile.Acquire(ctx, f.lock(), "mirror sync", o.Wait)
	if err != nil {
		return SyncReport{}, err
	}
	rep, err := (&syncing{f: f, s: s, o: o}).run(held)
	if !o.Plan {
		err = errors.Join(err, f.remember(rep, err, o.Now()))
	}
	err = errors.Join(err, lock.Release())
	if err != nil {
		return SyncReport{}, err
	}
	return rep, nil
}

// remember keeps the last success and the failure after it, for status. A cancelled sync is neither.
func (f folder) remember(rep SyncReport, err error, now time.Time) error {
	rec := f.record()
	switch {
	case errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		rec.Failed = &Failure{When: now.UTC().Truncate(time.Second), Kind: uerr.KindOf(err).String(), Error: err.Error(), Hint: uerr.HintOf(err)}
	default:
		rec = record{Last: &rep}
	}
	if werr := writeJSON(f.lastSync(), rec); werr != nil && err == nil {
		return uerr.New(uerr.Failed, "write", f.lastSync(), werr, "")
	}
	return nil
}

type syncing struct {
	f folder
	s Settings
	o SyncOptions
	c *trust.Client
}

func (y *syncing) run(ctx context.Context) (rep SyncReport, err error) {
	y.c, err = trust.Open(trust.Options{Source: y.s.Source, Dir: y.f.trust(), Mode: y.s.Mode, Root: y.o.Root, Now: y.o.Now, HTTP: y.o.HTTP, Proxy: y.o.Proxy})
	if err != nil {
		return rep, err
	}
	y.o.Progress.Note("checking %s", y.s.Source)
	cp, err := y.c.Copy(ctx, y.roles())
	if err != nil {
		return rep, err
	}
	if err := y.notOlder(cp); err != nil {
		return rep, err
	}
	wanted := trust.Select(cp.Targets, y.s.Components, y.s.Platforms)
	missing := y.missing(wanted)
	if y.o.Plan {
		return y.report(cp, wanted, missing), nil
	}
	if err := y.room(missing); err != nil {
		return rep, err
	}
	if err := y.fetch(ctx, missing); err != nil {
		return rep, err
	}
	if err := y.publish(cp); err != nil {
		return rep, y.writeError(err)
	}
	if err := y.clean(); err != nil {
		return rep, uerr.New(uerr.Precond, "clean the mirror in", string(y.f), err, "")
	}
	return y.report(cp, wanted, missing), nil
}

func (y *syncing) report(cp *trust.Copy, wanted, missing []release.Target) SyncReport {
	rep := SyncReport{When: y.o.Now().UTC().Truncate(time.Second), Source: y.s.Source, Timestamp: cp.Version, Root: cp.Root, Issued: cp.Issued,
		Expires: cp.Expires, Stale: cp.Stale, Latest: map[string]string{}, Expired: cp.Expired, Fetched: len(missing), Bytes: bytesOf(missing), Kept: len(wanted) - len(missing)}
	for _, ix := range cp.Indexes {
		rep.Latest[ix.Channel] = ix.Latest
	}
	return rep
}

// notOlder refuses a state older than the one that is served, should the trust folder, which remembers it, be lost.
// Only a newer root may start the counting anew.
func (y *syncing) notOlder(cp *trust.Copy) error {
	var head struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	data, err := os.ReadFile(filepath.Join(y.f.repo(), "metadata", "timestamp.json"))
	if err != nil || json.Unmarshal(data, &head) != nil || head.Signed.Version <= cp.Version {
		return nil // nothing is served yet, or nothing that any client accepts
	}
	if _, err := os.Stat(filepath.Join(y.f.repo(), "metadata", fmt.Sprintf("%d.root.json", cp.Root))); err != nil {
		return nil
	}
	return uerr.New(uerr.Integrity, "copy the releases of", y.s.Source, fmt.Errorf("it offers state %d, but state %d is served here already", cp.Version, head.Signed.Version),
		"find out why the source went back; practicectl mirror status --dir "+string(y.f))
}

// roles are the channels to copy; deps comes with any of them.
func (y *syncing) roles() []string {
	if len(y.s.Channels) == 0 {
		return nil
	}
	var out []string
	for _, r := range release.Roles() {
		for _, c := range append(y.s.Channels, release.Deps) {
			if c == r {
				out = append(out, r)
				break
			}
		}
	}
	return out
}

func (y *syncing) stored(t release.Target) string {
	return filepath.Join(y.f.repo(), "targets", filepath.FromSlash(release.StoredPath(t.Path, t.SHA256)))
}

// missing lists the targets that are not stored with their full length, or with Scrub, not with their content.
func (y *syncing) missing(wanted []release.Target) []release.Target {
	var out []release.Target
	for _, t := range wanted {
		st, err := os.Stat(y.stored(t))
		if err != nil || st.Size() != t.Length || y.o.Scrub && !trust.Holds(y.stored(t), t) {
			out = append(out, t)
		}
	}
	return out
}

// spare is what a sync leaves free on the disk.
const spare = 16 << 20

// room refuses before the first byte when the disk cannot hold everything.
func (y *syncing) room(missing []release.Target) error {
	need := bytesOf(missing)
	if need == 0 {
		return nil
	}
	free, err := y.o.Free(string(y.f))
	if err != nil {
		return uerr.New(uerr.Precond, "ask for the free space of", string(y.f), err, "")
	}
	if need+spare > free {
		return uerr.New(uerr.NoSpace, "sync into", string(y.f), fmt.Errorf("%d bytes are needed, %d are free", need+spare, free), "free some space, or limit the mirror: practicectl mirror init --platform")
	}
	return nil
}

// clean removes what broken transfers of targets that are gone left behind.
func (y *syncing) clean() error {
	left, err := os.ReadDir(y.f.downloads())
	for _, e := range left {
		err = errors.Join(err, os.RemoveAll(filepath.Join(y.f.downloads(), e.Name())))
	}
	return err
}

func bytesOf(targets []release.Target) (n int64) {
	for _, t := range targets {
		n += t.Length
	}
	return n
}
