package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/lockfile"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// minLife is what offline signatures must still be valid for when they are published: longer than any site may stay
// cut off.
const minLife = 270 * day

// PublishOptions publish what a stage holds.
type PublishOptions struct {
	Stage, Repo string
	Snapshot    *Key
	Timestamp   *Key
	Now         time.Time
	Crash       func(point string) error // tests: an error here stands for a crash at that point
}

// PublishReport says what is published now.
type PublishReport struct {
	Repo      string           `json:"repo"`
	Timestamp int64            `json:"timestamp"`
	Snapshot  int64            `json:"snapshot"`
	Issued    time.Time        `json:"issued"`
	Expires   time.Time        `json:"expires"`
	Roles     map[string]int64 `json:"roles"`
	Added     int              `json:"added"` // target files
	Bytes     int64            `json:"bytes"`
}

// Publish verifies every signature of the stage, copies the targets, then the numbered metadata, lets a real client
// read the result from a clean folder, and only then moves timestamp.json. Whatever happens before, readers see the
// old state. With an empty stage it signs the timestamp anew. Error kinds: Precond for missing signatures or ones that
// expire too soon, Integrity, NoSpace, Locked.
func Publish(ctx context.Context, o PublishOptions) (PublishReport, error) {
	const op = "publish into"
	if o.Crash == nil {
		o.Crash = func(string) error { return nil }
	}
	for _, d := range []string{"metadata", "targets"} {
		if err := os.MkdirAll(filepath.Join(o.Repo, d), 0o755); err != nil {
			return PublishReport{}, uerr.New(uerr.Precond, op, o.Repo, err, "")
		}
	}
	ctx, lock, err := lockfile.Acquire(ctx, filepath.Join(o.Repo, ".publish.lock"), "release publish", 0)
	if err != nil {
		return PublishReport{}, err
	}
	p := &publication{o: o, stage: stage(o.Stage), now: second(o.Now)}
	rep, err := p.run(ctx)
	if err := errors.Join(err, lock.Release()); err != nil {
		var known *uerr.Error
		if errors.As(err, &known) || ctx.Err() != nil {
			return PublishReport{}, err
		}
		if diskspace.IsFull(err) {
			return PublishReport{}, uerr.New(uerr.NoSpace, op, o.Repo, err, "free some space and run it again: readers still see the old state")
		}
		return PublishReport{}, uerr.New(uerr.Failed, op, o.Repo, err, "run it again: readers still see the old state")
	}
	return rep, nil
}

type publication struct {
	o     PublishOptions
	stage stage
	now   time.Time
	old   *state
	auth  authority
	roles map[string]*metadata.Metadata[metadata.TargetsType] // published and new
	rep   PublishReport
	fresh []draft
}

func (p *publication) run(ctx context.Context) (PublishReport, error) {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"verify", p.verify},
		{"targets", p.copyTargets},
		{"metadata", p.copyMetadata},
		{"canary", p.canary},
		{"timestamp", p.moveTimestamp},
		{"clean", p.cleanStage},
	}
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return PublishReport{}, err
		}
		if err := p.o.Crash(s.name); err != nil {
			return PublishReport{}, err
		}
		if err := s.do(ctx); err != nil {
			return PublishReport{}, err
		}
	}
	return p.rep, nil
}

// copyTargets puts the new files beside the old ones, each checked against what was signed.
func (p *publication) copyTargets(ctx context.Context) error {
	for _, d := range p.fresh {
		m := p.roles[d.role]
		if m == nil {
			continue
		}
		for path, f := range m.Signed.Targets {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.copyTarget(d.role, path, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *publication) copyTarget(role, path string, f *metadata.TargetFiles) error {
	bad := func(err error) error {
		return uerr.New(uerr.Integrity, "publish target", path, err, "practicectl release build --help")
	}
	if err := release.CheckPath(path); err != nil {
		return bad(err)
	}
	if got, _ := release.RoleOf(path); got != role || len(f.Hashes) != 1 || len(f.Hashes["sha256"]) != 32 {
		return bad(errors.New("wrong role or hash"))
	}
	to := storedFile(p.o.Repo, path, hexHash(f))
	from := filepath.Join(p.stage.targets(), filepath.FromSlash(path))
	if st, err := os.Stat(to); err == nil && st.Size() == f.Length {
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			return nil // published before
		}
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return bad(err)
	}
	defer in.Close()
	h := sha256.New()
	var n int64
	err = atomicfile.Write(to, 0o644, func(w io.Writer) (err error) {
		if n, err = io.Copy(io.MultiWriter(w, h), in); err != nil {
			return err
		}
		if n != f.Length || !bytes.Equal(h.Sum(nil), f.Hashes["sha256"]) {
			return bad(errors.New("the file in the stage is not the one that was signed"))
		}
		return nil
	})
	p.rep.Added++
	p.rep.Bytes += n
	return err
}

// copyMetadata writes everything with a number in its name. None of it is read before the timestamp leads to it.
func (p *publication) copyMetadata(context.Context) error {
	for _, d := range p.fresh {
		data, err := os.ReadFile(d.path)
		if err != nil {
			return err
		}
		if err := p.write(numbered(d.version, d.role), data); err != nil {
			return err
		}
	}
	snap := metadata.Snapshot(p.now.Add(life(Snapshot)))
	snap.Signed.Version = p.old.version(Snapshot) + 1
	targets := p.auth.targets.Signed.Version
	snap.Signed.Meta = map[string]*metadata.MetaFiles{}
	p.rep.Roles = map[string]int64{Root: p.auth.root().Signed.Version, Targets: targets}
	for role, m := range p.roles {
		p.rep.Roles[role] = m.Signed.Version
	}
	for role, version := range p.rep.Roles {
		if role == Root {
			continue
		}
		data, err := os.ReadFile(p.old.file(numbered(version, role)))
		if err != nil {
			return err
		}
		snap.Signed.Meta[role+".json"] = metaFile(version, data)
	}
	data, err := signed(snap, p.o.Snapshot, p.auth, Snapshot)
	if err != nil {
		return err
	}
	if err := p.write(numbered(snap.Signed.Version, Snapshot), data); err != nil {
		return err
	}
	ts := metadata.Timestamp(p.now.Add(life(Timestamp)))
	ts.Signed.Version = p.old.version(Timestamp) + 1
	ts.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": metaFile(snap.Signed.Version, data)}
	ts.Signed.UnrecognizedFields = map[string]any{"x-issued": p.now.Format(time.RFC3339)}
	if data, err = signed(ts, p.o.Timestamp, p.auth, Timestamp); err != nil {
		return err
	}
	p.rep.Repo, p.rep.Timestamp, p.rep.Snapshot = p.o.Repo, ts.Signed.Version, snap.Signed.Version
	p.rep.Issued, p.rep.Expires = p.now, ts.Signed.Expires
	return p.write(nextTimestamp, data)
}

// nextTimestamp is the timestamp before it counts.
const nextTimestamp = "timestamp.json.next"

func (p *publication) write(name string, data []byte) error {
	return atomicfile.WriteBytes(p.old.file(name), 0o644, data)
}

func metaFile(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

// signed signs an online role, if the key is one of the role's.
func signed[T metadata.Roles](m *metadata.Metadata[T], k *Key, auth authority, role string) ([]byte, error) {
	if k == nil {
		return nil, uerr.New(uerr.Precond, "sign", role, errors.New("no key given"), "give it with --"+role+"-key FILE")
	}
	if r := auth.root().Signed.Roles[role]; r == nil || !slices.Contains(r.KeyIDs, k.ID) {
		return nil, uerr.New(uerr.Auth, "sign", role, fmt.Errorf("key %.16s… does not sign this role", k.ID), "practicectl release ceremony status")
	}
	if err := addSignatures(m, k); err != nil {
		return nil, err
	}
	return m.ToBytes(true)
}

func (p *publication) moveTimestamp(context.Context) error {
	return atomicfile.Rename(p.old.file(nextTimestamp), p.old.file("timestamp.json"))
}

// cleanStage removes what is published. A crash before it does no harm: the same drafts are recognised.
func (p *publication) cleanStage(context.Context) error {
	var errs []error
	for _, d := range p.stage.drafts() {
		errs = append(errs, os.Remove(d.path))
	}
	for _, role := range release.Roles() {
		errs = append(errs, os.RemoveAll(filepath.Join(p.stage.targets(), role)))
	}
	return errors.Join(errs...)
}
