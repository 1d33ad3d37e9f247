package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/atomicfile"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
)

// Names of the folders below a target.
const (
	dataDir        = "pg"
	tablespacesDir = "tablespaces"
)

// recoverySignal makes PostgreSQL end its first recovery on a new timeline, and then removes it. standbySignal would make it
// follow another server.
const (
	recoverySignal = "recovery.signal"
	standbySignal  = "standby.signal"
	autoConf       = "postgresql.auto.conf"
)

// tame is appended to postgresql.auto.conf, where it is read last. A restored copy must not archive over the original's log, follow
// its primary or wait for its standbys, answer in its place, or run what the practice had it run in the background; its first
// start recovers from the log in the folder, and there is no archive to ask. Putting the copy into service takes it away
// again ([pgcluster.Cluster.Configure]).
const tame = "\n" + pgcluster.TameBegin + `
archive_mode = 'off'
archive_command = ''
archive_library = ''
archive_cleanup_command = ''
recovery_end_command = ''
primary_conninfo = ''
primary_slot_name = ''
synchronous_standby_names = ''
max_logical_replication_workers = '0'
listen_addresses = ''
shared_preload_libraries = ''
session_preload_libraries = ''
restore_command = 'false'
`

// untamed leaves out what a restore decides: also what an earlier restore wrote into the cluster that was saved.
func untamed(conf string) string {
	var b strings.Builder
	for line := range strings.Lines(conf) {
		name, _, _ := strings.Cut(strings.TrimLeft(line, " \t"), "=")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		ours := strings.HasPrefix(name, "recovery_target") || slices.Contains([]string{"restore_command", "archive_mode", "primary_conninfo"}, name) ||
			strings.HasPrefix(line, "# Written by practicectl restore")
		if !ours {
			b.WriteString(line)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// layDatabase adds what PostgreSQL needs to recover to the end of the backup: the label, the log, and links to tablespaces.
func (p *Plan) layDatabase(ctx context.Context, d folder, rep progress.Reporter) error {
	db := p.body.Database
	data := filepath.Join(d.dir, p.data)
	if !p.InPlace {
		if err := os.Chmod(data, 0o700); err != nil {
			return writeError(data, err)
		}
	}
	if err := os.Remove(filepath.Join(data, standbySignal)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return writeError(standbySignal, err)
	}
	auto := filepath.Join(data, autoConf)
	old, err := os.ReadFile(auto)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return writeError(auto, err)
	}
	files, err := p.histories(ctx)
	if err != nil {
		return err
	}
	files["backup_label"], files[recoverySignal] = db.Label, ""
	files[autoConf] = untamed(pgcluster.Untamed(string(old))) + tame + p.Replay.conf() + pgcluster.TameEnd + "\n"
	if err := d.mkdir(filepath.Join(p.data, "pg_wal")); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(data, name)
		if err := atomicfile.WriteBytes(path, 0o600, []byte(text)); err != nil {
			return writeError(path, err)
		}
		if err := d.own(filepath.Join(p.data, name)); err != nil {
			return err
		}
	}
	if err := p.layLog(ctx, d, data); err != nil {
		return err
	}
	if err := p.layReplay(ctx, d, data, rep); err != nil {
		return err
	}
	return p.linkTablespacesIn(d, func(oid string) string { return filepath.Join("..", "..", tablespacesDir, oid) })
}

// histories are the history files of all timelines of this cluster that the repository knows. PostgreSQL takes a timeline that
// has none, so that no two restored copies ever write log under the same name.
func (p *Plan) histories(ctx context.Context) (map[string]string, error) {
	files := map[string]string{}
	add := func(timeline, text string) { files[filepath.Join("pg_wal", timeline+".history")] = text }
	prefix := fmt.Sprintf("%s%d/", repo.WALPrefix, p.Snapshot.Database.System)
	for info, err := range p.repo.Store.List(ctx, prefix) {
		if err != nil {
			return nil, repo.StoreError("list the log in", p.repo.Store, prefix, err)
		}
		timeline, name, _ := strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
		if strings.HasPrefix(name, wal.HistoryName) {
			add(timeline, "") // that it exists is what counts; its own timelines are told by the snapshot
		}
	}
	if text := p.body.Database.History; text != "" {
		add(fmt.Sprintf("%08X", p.Snapshot.Database.Timeline), text)
	}
	if p.Replay != nil {
		for timeline, text := range p.Replay.history {
			add(fmt.Sprintf("%08X", timeline), text)
		}
	}
	return files, nil
}

func (p *Plan) layLog(ctx context.Context, d folder, data string) error {
	db := p.body.Database
	segments := p.segments(d, data, p.Snapshot.Database.Timeline)
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
		plain, err := wal.Read(ctx, p.repo, o)
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
	return p.linkTablespacesIn(folder{dir: dir, root: root, made: map[string]bool{}}, func(oid string) string { return filepath.Join(dir, tablespacesDir, oid) })
}

func (p *Plan) linkTablespacesIn(d folder, target func(oid string) string) error {
	if p.body.Database == nil {
		return nil
	}
	for _, t := range p.body.Database.Tablespaces {
		link := filepath.Join(d.dir, p.data, "pg_tblspc", t.OID)
		if err := d.mkdir(filepath.Join(tablespacesDir, t.OID)); err != nil {
			return err
		}
		if err := atomicfile.Symlink(target(t.OID), link); err != nil {
			return writeError(link, err)
		}
	}
	return nil
}
