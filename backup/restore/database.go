package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/atomicfile"
	"practicectl/internal/pgcluster"
)

// Names of the folders below a target.
const (
	dataDir        = "pg"
	tablespacesDir = "tablespaces"
)

// signals would make PostgreSQL follow or recover something else than this copy.
var signals = []string{"standby.signal", "recovery.signal"}

// tame is appended to postgresql.auto.conf: a restored copy must not archive over the original's log or follow its primary.
const tame = "\n# Written by practicectl restore: this copy does not archive and follows nobody.\narchive_mode = 'off'\nprimary_conninfo = ''\nrestore_command = ''\n"

// layDatabase adds what PostgreSQL needs to recover to the end of the backup: the label, the log, and links to tablespaces.
func (p *Plan) layDatabase(ctx context.Context, d folder) error {
	db := p.body.Database
	data := filepath.Join(d.dir, dataDir)
	if err := os.Chmod(data, 0o700); err != nil {
		return writeError(data, err)
	}
	for _, name := range signals {
		if err := os.Remove(filepath.Join(data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return writeError(name, err)
		}
	}
	auto := filepath.Join(data, "postgresql.auto.conf")
	old, err := os.ReadFile(auto)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return writeError(auto, err)
	}
	files := map[string]string{"backup_label": db.Label, "postgresql.auto.conf": strings.TrimRight(string(old), "\n") + tame}
	if db.History != "" {
		files[filepath.Join("pg_wal", fmt.Sprintf("%08X.history", p.Snapshot.Database.Timeline))] = db.History
	}
	if err := d.mkdir(filepath.Join(dataDir, "pg_wal")); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(data, name)
		if err := atomicfile.WriteBytes(path, 0o600, []byte(text)); err != nil {
			return writeError(path, err)
		}
		if err := d.own(filepath.Join(dataDir, name)); err != nil {
			return err
		}
	}
	if err := p.layLog(ctx, d, data); err != nil {
		return err
	}
	return p.linkTablespacesIn(d, func(oid string) string { return filepath.Join("..", "..", tablespacesDir, oid) })
}

func (p *Plan) layLog(ctx context.Context, d folder, data string) error {
	db := p.body.Database
	segments := wal.Segments{Dir: filepath.Join(data, "pg_wal"), Timeline: p.Snapshot.Database.Timeline, Size: uint32(db.SegmentSize), Mode: 0o600, Owner: d.owner}
	stored := map[string]repo.WALObject{}
	for _, o := range p.Snapshot.WAL {
		stored[o.Key] = o
	}
	for _, piece := range db.WAL {
		at, err := pgcluster.ParseLSN(piece.Start)
		o, ok := stored[piece.Key]
		if err != nil || !ok {
			return repo.Tampered("read the log of", p.repo.Store, p.Key, errors.New("a piece of log is not the signed one"))
		}
		plain, err := wal.Read(ctx, p.repo.Store, o, p.repo.Keys.Identities...)
		if err != nil {
			return err
		}
		if err := segments.Write(at, plain); err != nil {
			return writeError(segments.Dir, err)
		}
	}
	return nil
}

// linkTablespaces makes the links absolute once the copy is in place, as PostgreSQL's own are.
func (p *Plan) linkTablespaces(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return writeError(dir, err)
	}
	defer root.Close() // only read
	return p.linkTablespacesIn(folder{dir: dir, root: root}, func(oid string) string { return filepath.Join(dir, tablespacesDir, oid) })
}

func (p *Plan) linkTablespacesIn(d folder, target func(oid string) string) error {
	if p.body.Database == nil {
		return nil
	}
	for _, t := range p.body.Database.Tablespaces {
		link := filepath.Join(d.dir, dataDir, "pg_tblspc", t.OID)
		if err := d.mkdir(filepath.Join(tablespacesDir, t.OID)); err != nil {
			return err
		}
		if err := atomicfile.Symlink(target(t.OID), link); err != nil {
			return writeError(link, err)
		}
	}
	return nil
}
