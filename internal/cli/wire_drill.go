package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/backup/drill"
	"practicectl/backup/repo"
	"practicectl/internal/buildinfo"
	"practicectl/internal/config"
	"practicectl/internal/doctor"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// drillKeyFile holds the key that signs this host's evidence, in the credential folder.
const drillKeyFile = "drill.key"

// drillOverdue is how old the last drill that passed may be.
const drillOverdue = 35 * 24 * time.Hour

// drillFlags are the flags of all drill commands.
type drillFlags struct {
	storeFlags
	ownerKey, host, key string
}

func (f *drillFlags) bind(fs *pflag.FlagSet) {
	f.storeFlags.bind(fs)
	fs.StringVar(&f.ownerKey, "owner-key", "", "owner key that backup init wrote: refuse a repository of anybody else")
	fs.StringVar(&f.host, "host", "", "name of this machine in the evidence; default: that of its backups, or its own")
	fs.StringVar(&f.key, "key", "", "file with the key that signs the evidence; default: made in the credential folder at the first drill")
}

// keeper is who keeps evidence here. The key may be missing before the first drill.
func (r *run) keeper(f drillFlags) (drill.Keeper, error) {
	l, err := r.layout()
	if err != nil {
		return drill.Keeper{}, err
	}
	if f.host != "" {
		if err := repo.CheckHost(f.host); err != nil {
			return drill.Keeper{}, usageError(r.cmd, err)
		}
	}
	k := drill.Keeper{Host: f.host, State: filepath.Join(l.Var(), "drill")}
	if k.Host == "" {
		k.Host = r.drillHost(l)
	}
	k.Key, err = drill.LoadKey(f.keyPath(l))
	if uerr.KindOf(err) == uerr.NotFound {
		err = nil
	}
	return k, err
}

func (f drillFlags) keyPath(l paths.Layout) string {
	if f.key != "" {
		return f.key
	}
	return filepath.Join(l.Cred(), drillKeyFile)
}

// drillHost is the name under which this machine drills: that of its backups, else as one that backs up would be called.
func (r *run) drillHost(l paths.Layout) string {
	if k, err := r.hostKeys(); err == nil {
		return k.Pin.Host
	}
	return hostName(l)
}

// openForDrill opens the repository with what this machine knows of it: a host that is backed up its pin, a drill host the
// owner that it met first.
func (r *run) openForDrill(ctx context.Context, f drillFlags, i identityFlags, k drill.Keeper) (*backup.Repo, error) {
	st, keys, err := r.storeToRead(f.storeFlags, i)
	if err != nil {
		return nil, err
	}
	if f.ownerKey != "" {
		if keys.Owner, err = backup.OwnerOf(f.ownerKey); err != nil {
			return nil, err
		}
	} else if before, err := k.Newest(); err == nil && before != nil {
		keys.Owner = before.Owner
	}
	if f.store == "" {
		own, err := r.hostKeys()
		if err != nil && uerr.KindOf(err) != uerr.NotFound {
			return nil, err
		}
		keys.Pin = own.Pin
	}
	return backup.Open(ctx, st, keys)
}

// drillIdentity is the identity to drill with: that of the command line, else the configured one of a drill host. A host that
// is backed up must not hold one.
func (r *run) drillIdentity(i identityFlags) (identityFlags, error) {
	if len(i.files) > 0 {
		return i, nil
	}
	c, err := r.config()
	if err != nil || c.Drill.Identity == "" {
		return i, usageError(r.cmd, errors.New("--identity FILE is needed, or [drill] identity on a machine that only drills"))
	}
	if _, err := r.hostKeys(); err == nil {
		return i, uerr.New(uerr.Precond, "drill with the configured identity", c.Drill.Identity, errors.New("this host is backed up, and a host that can be broken into must not be able to read its own backups"),
			"take [drill] identity out of practice.toml; drill on another machine, or bring the identity for the run: practicectl drill run --identity FILE")
	}
	l, err := r.layout()
	if err != nil {
		return i, err
	}
	path := c.Drill.Identity
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.Cred(), path)
	}
	return identityFlags{files: []string{path}, passphrase: i.passphrase}, nil
}

// drillOptions is what a drill was asked for, with what the configuration adds.
func (r *run) drillOptions(k drill.Keeper, d drillRun) (drill.Options, error) {
	set := config.Default().Drill
	if c, err := r.config(); err == nil {
		set = c.Drill
	}
	o := drill.Options{Keeper: k, Dir: d.dir, Snapshot: d.snapshot, To: d.to, Seed: d.seed, RTO: d.rto, RPO: d.rpo, Invariants: r.invariants(), Program: buildinfo.Version(), Now: r.now}
	if o.Dir == "" {
		o.Dir = set.Dir
	}
	for _, objective := range []struct {
		to   *time.Duration
		text string
	}{{&o.RTO, set.RTO}, {&o.RPO, set.RPO}} {
		if *objective.to == 0 {
			*objective.to, _ = time.ParseDuration(objective.text) // the configuration was validated
		}
	}
	for o.Seed == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return o, err
		}
		o.Seed = binary.LittleEndian.Uint64(b[:])
	}
	if d.owner != "" {
		account, err := pgcluster.LookupAccount(d.owner)
		if err != nil {
			return o, err
		}
		o.Account = account
		o.Own = func(path string) error { return os.Lchown(path, int(account.UID), int(account.GID)) }
	} else if os.Geteuid() == 0 {
		return o, uerr.New(uerr.Precond, "drill", "", errors.New("PostgreSQL does not run as root"), "give --owner ACCOUNT, or run the command as an ordinary user")
	}
	o.Postgres = func(ctx context.Context, major int) (pgcluster.Binaries, error) {
		return r.postgresFor(ctx, d.bin, major)
	}
	return o, nil
}

// drill drills once, under the instance's lock. Evidence comes back with an error too.
func (r *run) drill(ctx context.Context, f drillFlags, i identityFlags, d drillRun) (*drill.Evidence, error) {
	ids, err := r.drillIdentity(i)
	if err != nil {
		return nil, err
	}
	k, err := r.keeper(f)
	if err != nil {
		return nil, err
	}
	o, err := r.drillOptions(k, d)
	if err != nil {
		return nil, err
	}
	ctx, release, err := r.lock(ctx, "drill", "drill run")
	if err != nil {
		return nil, err
	}
	defer release()
	if o.Key, err = r.drillKey(f); err != nil {
		return nil, err
	}
	return drill.Run(ctx, func(ctx context.Context) (*backup.Repo, error) { return r.openForDrill(ctx, f, ids, k) }, o, r.progress)
}

// lookAhead says what a drill would do.
func (r *run) lookAhead(ctx context.Context, f drillFlags, i identityFlags, d drillRun) error {
	ids, err := r.drillIdentity(i)
	if err != nil {
		return err
	}
	k, err := r.keeper(f)
	if err != nil {
		return err
	}
	o, err := r.drillOptions(k, d)
	if err != nil {
		return err
	}
	repository, err := r.openForDrill(ctx, f, ids, k)
	if err != nil {
		return err
	}
	look, err := drill.LookAhead(ctx, repository, o)
	if err != nil {
		return err
	}
	return r.result(look, func(w io.Writer) {
		s := look.Plan.Snapshot
		table(w, [][]string{{"snapshot", s.ID[:12] + " of " + s.Created.Format(time.RFC3339) + ", the " + look.Chosen + " one"}, {"replayed to", look.To}, {"scratch", look.Dir},
			{"write", fmt.Sprintf("%s in %d files", size(look.Plan.Bytes), look.Plan.Files)}, {"read", fmt.Sprintf("%s in %d packs", size(look.Plan.Download), look.Plan.Packs)}, {"free", size(look.Plan.Free)},
			{"seed", fmt.Sprint(look.Seed)}})
	})
}

// drillKey is the key of this host's evidence, made when there is none.
func (r *run) drillKey(f drillFlags) (ed25519.PrivateKey, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	path := f.keyPath(l)
	key, made, err := drill.EnsureKey(path)
	if made {
		r.say("made the key that signs the evidence of this machine, %s: %s", drill.Fingerprint(repo.PublicOf(key)), path)
	}
	return key, err
}

// drillChains reads all evidence, and notes for status when the last drill was, wherever it was done.
func (r *run) drillChains(ctx context.Context, f drillFlags) ([]drill.Chain, error) {
	k, err := r.keeper(f)
	if err != nil {
		return nil, err
	}
	repository, err := r.openForDrill(ctx, f, identityFlags{}, k)
	if err != nil {
		return nil, err
	}
	chains, err := drill.Chains(ctx, repository, k)
	if err == nil && f.store == "" {
		r.noteDrills(chains)
	}
	return chains, err
}

// noteDrills remembers the newest drill that passed, and the newest one when that did not.
func (r *run) noteDrills(chains []drill.Chain) {
	l, err := r.layout()
	if err != nil {
		return
	}
	var passed, last *drill.Evidence
	for _, c := range chains {
		for _, p := range c.Pieces {
			e := p.Evidence
			if last == nil || e.Ended.After(last.Ended) {
				last = e
			}
			if e.Verdict == drill.Passed && (passed == nil || e.Ended.After(passed.Ended)) {
				passed = e
			}
		}
	}
	known, err := readLastRun(l, "drill")
	if last == nil || err == nil && !last.Ended.After(known.Ended) {
		return
	}
	noted := lastRun{Ended: last.Ended, OK: last.Problem == nil}
	if passed != nil {
		noted.Succeeded, noted.Detail = passed.Ended, drillDetail(passed)+", on "+passed.Host
	}
	if p := last.Problem; p != nil {
		noted.Kind, noted.Error = p.Kind, p.Error
	}
	r.writeLastRun(l, "drill", noted)
}

// drills judges the last drill that this machine did or saw in the store. There is time for the first one.
func (s *statusReport) drills(l paths.Layout, now time.Time) {
	const next = "practicectl drill run --identity FILE"
	var since time.Time
	if last, err := readLastRun(l, "drill"); err == nil {
		s.Drill, since = &last, last.Succeeded
		if !last.OK {
			s.note(doctor.Warn, "the last drill did not pass: "+last.Error, "practicectl drill report")
			return
		}
	}
	if since.IsZero() {
		if info, err := os.Stat(backup.PinPath(l.Cred())); err == nil {
			since = info.ModTime()
		}
	}
	switch {
	case since.IsZero() || now.Sub(since) <= drillOverdue:
	case s.Drill == nil:
		s.note(doctor.Warn, "nobody has proved that the backups can be restored", next)
	default:
		s.note(doctor.Warn, fmt.Sprintf("the last drill that passed was %s ago", span(now.Sub(since))), next)
	}
}
