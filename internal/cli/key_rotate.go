package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup/custody"
	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

type keyRotateOptions struct {
	ownerFlags
	add, remove  []string
	newEpoch     bool
	indexKeyOut  string
	leaveDamaged bool
}

func (a *app) keyRotateCmd() *cobra.Command {
	var o keyRotateOptions
	return a.leaf(leaf{
		Use: "rotate", Short: "Replace identities, and hand the past on to the new ones",
		Long: `Signs new settings with other recipients and stores a keyring for them: the keys of everything that is stored, sealed to the
new recipients. A new identity alone then restores every snapshot, old and new. Only the headers of the objects are read, and
about 50 bytes for each are uploaded. Run it where the owner key and an old identity may be, not on the practice's server.

Rotation is no revocation: a removed identity still opens what was stored for it, and the store's locks keep that for their
time. Keep it until "key check --all" with a new identity succeeds, then destroy it. A rotation that is cut off leaves either the old
settings in force or the new ones complete; the same command finishes it. Without --add and --remove it completes the keyring.

--new-index-epoch also makes a new index key, after a theft of the server's: all pages are then uploaded once more.`,
		Examples: []string{
			"practicectl key rotate --add age1… --remove 3f9a-11d0-77ab-0c2e-9d41 --identity old.key --owner-key owner-signing.pem --store /mnt/nas/backup",
			"practicectl key rotate --identity old.key --owner-key owner-signing.pem --new-index-epoch --index-key-out index.key --yes",
		},
		Args:  cobra.NoArgs,
		Exits: append([]uerr.Kind{uerr.Incomplete}, keyChangeExits...),
		Flags: func(f *pflag.FlagSet) {
			o.bind(f)
			f.StringArrayVar(&o.add, "add", nil, "recipient that can open everything from now on; may be repeated")
			f.StringArrayVar(&o.remove, "remove", nil, "recipient, or its fingerprint, that nothing is encrypted to any more; may be repeated")
			f.BoolVar(&o.newEpoch, "new-index-epoch", false, "make a new index key as well; everything is uploaded once more")
			f.StringVar(&o.indexKeyOut, "index-key-out", "", "new file for the new index key, to be brought to each host")
			f.BoolVar(&o.leaveDamaged, "leave-damaged", false, "go on without objects that are damaged")
		},
		Run: func(ctx context.Context, r *run, _ []string) error { return r.keyRotate(ctx, o) },
	})
}

func (r *run) keyRotate(ctx context.Context, o keyRotateOptions) error {
	switch {
	case len(o.files) == 0:
		return usageError(r.cmd, errors.New("--identity FILE is needed: it opens what is handed on"))
	case o.newEpoch != (o.indexKeyOut != ""):
		return usageError(r.cmd, errors.New("--new-index-epoch and --index-key-out go together"))
	}
	repository, owner, err := r.openAsOwner(ctx, o.ownerFlags)
	if err != nil {
		return err
	}
	plan, err := custody.NewPlan(repository, custody.Change{Add: o.add, Remove: o.remove, NewEpoch: o.newEpoch, Owner: owner, Now: r.now()})
	if err != nil {
		return err
	}
	if done, err := r.approve(plan); done || err != nil {
		return err
	}
	rep, err := custody.Rotate(ctx, repository, plan, custody.RotateOptions{LeaveDamaged: o.leaveDamaged, Clock: r.now,
		KeepIndexKey: func(k repo.IndexKey) (repo.IndexKey, error) { return keepIndexKey(o.indexKeyOut, k) }}, r.progress)
	if err != nil {
		return err
	}
	if err := r.showKeyChange(rep); err != nil {
		return err
	}
	if len(plan.Removed) > 0 {
		r.say("%s still opens what was stored for it. Destroy it when this succeeds: practicectl key check --all --identity NEW", fingerprints(plan.Removed))
	}
	if o.newEpoch {
		r.say("Bring %s to each host: practicectl key accept --index-key FILE. The next backup uploads everything once more.", o.indexKeyOut)
	}
	if rep.Fingerprint != "" {
		r.sayAccept()
	}
	if o.leaveDamaged && len(rep.Left) > 0 {
		return uerr.New(uerr.Incomplete, "hand on what is stored in", repository.Store.String(), fmt.Errorf("%d objects were left behind", len(rep.Left)), "see which snapshots need them: practicectl backup verify")
	}
	return nil
}

// keepIndexKey writes a new index key into a new file. One of the same epoch that lies there was kept by a rotation that was cut
// off, and is used.
func keepIndexKey(path string, k repo.IndexKey) (repo.IndexKey, error) {
	const op = "keep the new index key"
	data, err := os.ReadFile(path)
	if err == nil {
		kept, err := repo.ParseIndexKey(data)
		if err == nil && kept.Epoch == k.Epoch {
			return kept, nil
		}
		return k, uerr.New(uerr.Precond, op, path, errors.New("the file exists already, and a key is never overwritten"), "name another file with --index-key-out")
	}
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = k.Encode(); err == nil {
			err = atomicfile.WriteBytes(path, 0o600, data)
		}
	}
	if err != nil {
		return k, uerr.New(uerr.Precond, op, filepath.Clean(path), err, "name a folder that exists and that you may write to")
	}
	return k, nil
}
