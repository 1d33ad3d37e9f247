package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/progress"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/release/trust"
)

// VerifyOptions name a repository or mirror to be read like a client would.
type VerifyOptions struct {
	Source   string
	Root     []byte // nil: the root built into this program
	Now      func() time.Time
	Progress progress.Reporter
}

// VerifyReport says what a new client would get.
type VerifyReport struct {
	Source    string            `json:"source"`
	Timestamp int64             `json:"timestamp"`
	Root      int64             `json:"root"`
	Issued    time.Time         `json:"issued"`
	Expires   time.Time         `json:"expires"`
	Latest    map[string]string `json:"latest"` // role → version
	Targets   int               `json:"targets"`
	Bytes     int64             `json:"bytes"`
}

// Verify reads a whole repository with a real client from a clean folder: every role, every target, every file in
// every archive. Error kinds: those of trust.Client.Refresh and Fetch and archive.Unpack.
func Verify(ctx context.Context, o VerifyOptions) (rep VerifyReport, err error) {
	dir, err := os.MkdirTemp("", "release-verify-")
	if err != nil {
		return rep, uerr.New(uerr.Precond, "verify", o.Source, err, "")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.Progress == nil {
		o.Progress = progress.None
	}
	c, err := trust.Open(trust.Options{Source: o.Source, Dir: filepath.Join(dir, "trust"), Root: o.Root, Now: o.Now})
	if err != nil {
		return rep, err
	}
	cp, err := c.Copy(ctx, nil)
	if err != nil {
		return rep, err
	}
	rep = VerifyReport{Source: o.Source, Timestamp: cp.Version, Root: cp.Root, Issued: cp.Issued, Expires: cp.Expires, Latest: map[string]string{}}
	for _, ix := range cp.Indexes {
		rep.Latest[ix.Channel] = ix.Latest
	}
	task := o.Progress.Task("verify", progress.Bytes, total(cp.Targets))
	defer task.Done()
	for i, t := range cp.Targets {
		if err := verifyTarget(ctx, c, t, filepath.Join(dir, fmt.Sprint(i)), task); err != nil {
			return rep, err
		}
		rep.Targets++
		rep.Bytes += t.Length
	}
	return rep, nil
}

func total(targets []release.Target) (n int64) {
	for _, t := range targets {
		n += t.Length
	}
	return n
}

// verifyTarget fetches and unpacks one target as an installer would.
func verifyTarget(ctx context.Context, c *trust.Client, t release.Target, dir string, task progress.Task) (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "archive")
	if err := c.Fetch(ctx, t, file, task); err != nil {
		return err
	}
	if t.Kind != release.KindFull {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := archive.Check(ctx, io.Reader(f))
	if err != nil {
		return err
	}
	return MatchManifest(t, m)
}

// MatchManifest refuses an archive that says it is something else than what was signed. Error kind: Integrity.
func MatchManifest(t release.Target, m archive.Manifest) error {
	if m.Name != t.Component || m.Version != t.Version || m.OS != t.OS || m.Arch != t.Arch {
		return uerr.New(uerr.Integrity, "check", t.Path, fmt.Errorf("the archive holds %s %s for %s", m.Name, m.Version, release.Platform(m.OS, m.Arch)), "")
	}
	return nil
}

// canary lets a real client read what is about to be published, from a clean folder and with the root that the oldest
// clients were built with. One release with a mistake in it would lock every client out.
func (p *publication) canary(ctx context.Context) (err error) {
	view, err := os.MkdirTemp(p.o.Repo, ".canary-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(view)) }()
	if err := os.CopyFS(filepath.Join(view, "metadata"), os.DirFS(filepath.Join(p.o.Repo, "metadata"))); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(view, "metadata", nextTimestamp), filepath.Join(view, "metadata", "timestamp.json")); err != nil {
		return err
	}
	repo, err := filepath.Abs(p.o.Repo)
	if err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(repo, "targets"), filepath.Join(view, "targets")); err != nil {
		return err
	}
	c, err := trust.Open(trust.Options{Source: view, Dir: filepath.Join(view, "client"), Root: p.auth.roots[0].data, Now: func() time.Time { return p.now }})
	if err != nil {
		return err
	}
	cp, err := c.Copy(ctx, nil)
	if err != nil {
		return fmt.Errorf("a client refuses what would be published: %w", err)
	}
	for _, t := range cp.Targets {
		if err := ctx.Err(); err != nil {
			return err
		}
		st, err := os.Stat(storedFile(p.o.Repo, t.Path, t.SHA256))
		if err != nil || st.Size() != t.Length {
			return uerr.New(uerr.Integrity, "publish target", t.Path, errors.Join(err, errors.New("the repository holds another file")), "")
		}
	}
	return nil
}
