package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"practicectl/backup/extract"
	"practicectl/internal/atomicfile"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// scratchOptions are the flags of commands that ask the database of a snapshot.
type scratchOptions struct {
	restoreOptions
	out, dir, bin, owner string
}

func (s *scratchOptions) bind(f *pflag.FlagSet) {
	s.storeFlags.bind(f)
	s.identityFlags.bind(f, "to restore with (required)")
	f.StringVar(&s.ownerKey, "owner-key", "", "owner key that backup init wrote: refuse a repository of anybody else")
	f.StringVar(&s.out, "out", "", "new file to write (required)")
	f.StringVar(&s.dir, "dir", "", "folder for the scratch database, with room for all of it; default: the system's folder for temporary files")
	f.StringVar(&s.bin, "postgres-bin", "", "folder of the PostgreSQL programs")
	f.StringVar(&s.owner, "owner", "", "account that PostgreSQL runs as; only as root")
}

// practiceDocuments is how the server keeps documents (server/store/migrations).
func practiceDocuments() extract.Documents {
	return extract.Documents{Database: pgcluster.DefaultDatabase,
		Facts:  "SELECT name, size, sha256 FROM pm.document WHERE id::text = $1",
		Pieces: "SELECT data FROM pm.document_chunk WHERE document_id::text = $1 ORDER BY seq"}
}

// extract has fn write something out of the database of a snapshot into the new file --out. The file appears when it is whole.
func (r *run) extract(ctx context.Context, s scratchOptions, snapshot string, fn func(from *extract.Scratch, w io.Writer) error) error {
	if len(s.files) == 0 || s.out == "" {
		return usageError(r.cmd, errors.New("--identity FILE and --out FILE are needed"))
	}
	if _, err := os.Lstat(s.out); !errors.Is(err, fs.ErrNotExist) {
		return uerr.New(uerr.LossGuard, "write", s.out, errors.New("it exists, and nothing is overwritten"), "name another file with --out")
	}
	own, account, err := owner(s.owner, "")
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 && account == nil {
		return uerr.New(uerr.Precond, "start a scratch database", "", errors.New("PostgreSQL does not run as root"), "give --owner ACCOUNT, or run the command as an ordinary user")
	}
	repository, err := r.openOf(ctx, s.storeFlags, s.identityFlags, s.ownerKey)
	if err != nil {
		return err
	}
	from, err := extract.Open(ctx, repository, snapshot, extract.Options{Dir: s.dir, Account: account, Own: own, Now: r.now,
		Binaries: func(ctx context.Context, major int) (pgcluster.Binaries, error) {
			return r.postgresFor(ctx, s.bin, major)
		}}, r.progress)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	err = writeWhole(s.out, func(w io.Writer) error { return fn(from, w) })
	return errors.Join(err, from.Close())
}

// writeWhole writes a file that only its owner reads, and puts it in place when it is whole.
func writeWhole(path string, fn func(w io.Writer) error) error {
	tmp := path + ".unverified"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return uerr.New(uerr.Precond, "write", filepath.Dir(path), err, "name another file with --out")
	}
	buf := bufio.NewWriterSize(f, 1<<20)
	err = fn(buf)
	if err == nil {
		err = errors.Join(buf.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = atomicfile.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}
