package pgsource

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"practicectl/backup/intake"
	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

const controlPath = "global/pg_control"

var (
	relation     = regexp.MustCompile(`^([0-9]+)(_fsm|_vm|_init)?(?:\.([0-9]+))?$`)
	temporary    = regexp.MustCompile(`^t[0-9]+_[0-9]+(_[a-z]+)?(\.[0-9]+)?$`)
	relationDirs = regexp.MustCompile(`^(global|base/[0-9]+|pg_tblspc/[0-9]+/PG_[0-9]+_[0-9]+/[0-9]+)$`)
	pagedDirs    = []string{"pg_xact", "pg_commit_ts", "pg_multixact/offsets", "pg_multixact/members"}
	// Folders whose content belongs to the running server alone.
	emptied = []string{"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans", "pg_wal/archive_status", "pg_wal/summaries"}
	// Files that must not be in a copy, wherever they are.
	dropped = []string{"postgresql.auto.conf.tmp", "current_logfiles", "current_logfiles.tmp", "backup_label", "backup_label.old", "tablespace_map",
		"tablespace_map.old", "backup_manifest", "postmaster.pid", "postmaster.opts", controlPath}
)

// Files lists the files of the backup but pg_control, which is read by [Session.Control] when all others are.
func (s *Session) Files(ctx context.Context) ([]intake.File, error) {
	w := walk{s: s, ctx: ctx}
	if err := w.dir(s.o.Data, ""); err != nil {
		return nil, err
	}
	slices.SortFunc(w.out, func(a, b intake.File) int { return strings.Compare(a.Entry.Path, b.Entry.Path) })
	return w.out, nil
}

// Control is the file that tells where recovery begins. It is read last, and again until its checksum holds.
func (s *Session) Control() intake.File {
	local := filepath.Join(s.o.Data, filepath.FromSlash(controlPath))
	mode := uint32(0o600)
	if info, err := os.Stat(local); err == nil {
		mode = uint32(info.Mode().Perm())
	}
	return intake.File{
		Entry: repo.Entry{Path: controlPath, Kind: repo.File, Mode: mode},
		Content: func(ctx context.Context) ([]byte, error) {
			for try := 0; ; try++ {
				raw, err := os.ReadFile(local)
				if err != nil {
					return nil, err
				}
				if _, err = pgcluster.ParseControl(raw); err == nil {
					return raw, nil
				}
				if try == 40 {
					return nil, uerr.New(uerr.Integrity, "read", local, err, "the cluster's control file is damaged; restore the last snapshot: practicectl restore run latest")
				}
				select {
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				case <-time.After(25 * time.Millisecond):
				}
			}
		},
	}
}

type walk struct {
	s   *Session
	ctx context.Context
	out []intake.File
}

// dir lists the folder local, which is rel in the tree.
func (w *walk) dir(local, rel string) error {
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	entries, err := os.ReadDir(local)
	if errors.Is(err, fs.ErrNotExist) && rel != "" {
		return nil // dropped meanwhile
	}
	if err != nil {
		return w.problem(local, err)
	}
	unlogged := unloggedRelations(rel, entries)
	for _, e := range entries {
		if err := w.entry(filepath.Join(local, e.Name()), path.Join(rel, e.Name()), e, unlogged); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(local, rel string, e fs.DirEntry, unlogged map[string]bool) error {
	info, err := os.Stat(local) // through links: only pg_wal and tablespaces may be some
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return w.problem(local, err)
	}
	if e.Type()&fs.ModeSymlink != 0 && path.Dir(rel) != "pg_tblspc" && rel != "pg_wal" {
		return nil // as pg_basebackup does: links elsewhere are not the cluster's
	}
	f := intake.File{Local: local, MayVanish: true, Entry: repo.Entry{Path: rel, Kind: repo.File, Mode: uint32(info.Mode().Perm()), Size: info.Size()}}
	switch {
	case info.IsDir():
		return w.folder(local, rel, f)
	case !info.Mode().IsRegular() || leftOut(rel) || strings.HasPrefix(rel, "pg_wal/"):
		return nil
	}
	dir, name := path.Split(rel)
	switch m := relation.FindStringSubmatch(name); {
	case !relationDirs.MatchString(path.Clean(dir)) || m == nil && !temporary.MatchString(name):
		if slices.Contains(pagedDirs, path.Clean(dir)) && info.Size() > 0 && info.Size()%repo.PageSize == 0 {
			f.Entry.Kind = repo.Pages
		}
	case m == nil || unlogged[m[1]] && m[2] != "_init":
		return nil // temporary and unlogged relations are empty after a restore anyway
	default:
		f.Entry.Kind = repo.Pages
		f.Entry.Size -= f.Entry.Size % repo.PageSize // a page being added: PostgreSQL does not see it yet either
		f.Blocks = w.blocks(m[3])
	}
	w.out = append(w.out, f)
	return nil
}

func (w *walk) folder(local, rel string, f intake.File) error {
	name := path.Base(rel)
	if strings.HasPrefix(name, "pgsql_tmp") || rel == "log" || rel == "pg_log" {
		return nil // logs hold what users typed; they are no part of the data
	}
	f.Entry.Kind, f.Entry.Size = repo.Dir, 0
	w.out = append(w.out, f)
	if slices.Contains(emptied, rel) {
		return nil
	}
	return w.dir(local, rel)
}

func leftOut(rel string) bool {
	name := path.Base(rel)
	return slices.Contains(dropped, rel) || strings.HasPrefix(name, "pgsql_tmp") || strings.HasPrefix(name, "pg_internal.init")
}

// unloggedRelations finds the relations of a folder that have an init fork: their other forks are reset after a crash, and
// so they are after a restore.
func unloggedRelations(rel string, entries []fs.DirEntry) map[string]bool {
	out := map[string]bool{}
	if !relationDirs.MatchString(rel) {
		return out
	}
	for _, e := range entries {
		if m := relation.FindStringSubmatch(e.Name()); m != nil && m[2] == "_init" {
			out[m[1]] = true
		}
	}
	return out
}

// blocks says how the pages of a relation's segment are proved.
func (w *walk) blocks(segment string) *intake.Blocks {
	if w.s.control.DataChecksums == 0 {
		return nil
	}
	n, err := strconv.ParseUint(segment, 10, 16)
	if err != nil {
		n = 0 // the first segment has no number
	}
	return &intake.Blocks{First: uint32(n) * w.s.control.RelationSegment, Check: checkPage}
}

func (w *walk) problem(local string, err error) error {
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = "run the command as the account that owns the data folder, or as a member of its group"
	}
	return uerr.New(uerr.Failed, "read", local, err, hint)
}

// tablespaces reads a tablespace_map: lines of "<oid> <path>", in which \n, \r and \\ are escaped.
func tablespaces(text string) []repo.Tablespace {
	out := []repo.Tablespace{}
	for line := range strings.Lines(text) {
		oid, location, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if ok {
			out = append(out, repo.Tablespace{OID: oid, Location: strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(location)})
		}
	}
	return out
}
