package pgsource

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"practicectl/backup/intake"
	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
)

// TestO6_WhatBelongsToABackup lays out a data folder with everything that must and must not be in a copy of it.
func TestO6_WhatBelongsToABackup(t *testing.T) {
	data, outside := t.TempDir(), t.TempDir()
	saved := []string{
		"PG_VERSION", "base/5/1259", "base/5/1259.1", "base/5/1259_fsm", "base/5/1259_vm", "base/5/2000_init", "base/5/PG_VERSION", "base/5/pg_filenode.map",
		"global/1262", "pg_xact/0000", "pg_multixact/members/0000", "postgresql.conf", "conf.d/x.conf", "pg_logical/replorigin_checkpoint", "pg_twophase/00000001",
	}
	left := []string{
		"postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "backup_manifest", "current_logfiles", "postgresql.auto.conf.tmp", "global/pg_control",
		"global/pg_internal.init", "base/5/pg_internal.init.17", "base/5/t3_17", "base/5/t3_17_fsm", "base/5/2000", "base/5/2000.1", "base/5/2000_fsm",
		"base/pgsql_tmp/pgsql_tmp12.0", "base/5/pgsql_tmp12", "pg_wal/000000010000000000000001", "pg_wal/archive_status/x.done", "pg_replslot/s/state", "pg_stat_tmp/global.stat",
		"pg_notify/0000", "pg_serial/0000", "pg_snapshots/1", "pg_subtrans/0000", "pg_dynshmem/mmap.1", "log/postgresql.log",
	}
	for _, name := range append(slices.Clone(saved), left...) {
		path := filepath.Join(data, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, 2*repo.PageSize+100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(data, "pg_xact", "0000"), make([]byte, 3*repo.PageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	space := filepath.Join(outside, "PG_18_202506291", "5")
	for _, err := range []error{os.MkdirAll(space, 0o700), os.WriteFile(filepath.Join(space, "777"), make([]byte, repo.PageSize), 0o600), os.Mkdir(filepath.Join(data, "pg_tblspc"), 0o700),
		os.Symlink(outside, filepath.Join(data, "pg_tblspc", "99")), os.Symlink(outside, filepath.Join(data, "elsewhere"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &Session{o: Options{Data: data}, control: pgcluster.Control{DataChecksums: 1, RelationSegment: 131072}}
	files, err := s.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]intake.File{}
	for _, f := range files {
		found[f.Entry.Path] = f
	}
	for _, name := range append(saved, "pg_tblspc/99/PG_18_202506291/5/777", "pg_wal/archive_status", "pg_replslot", "pg_notify", "pg_stat_tmp") {
		if _, ok := found[name]; !ok {
			t.Errorf("%s is not saved", name)
		}
	}
	for _, name := range append(left, "elsewhere", "log", "base/pgsql_tmp") {
		if _, ok := found[name]; ok {
			t.Errorf("%s is saved", name)
		}
	}
	for name, want := range map[string]struct {
		kind  repo.Kind
		size  int64
		first int64 // -1: not proved
	}{
		"base/5/1259": {repo.Pages, 2 * repo.PageSize, 0}, "base/5/1259.1": {repo.Pages, 2 * repo.PageSize, 131072}, "base/5/1259_vm": {repo.Pages, 2 * repo.PageSize, 0},
		"pg_xact/0000": {repo.Pages, 3 * repo.PageSize, -1}, "pg_multixact/members/0000": {repo.File, 2*repo.PageSize + 100, -1}, "base/5/pg_filenode.map": {repo.File, 2*repo.PageSize + 100, -1},
	} {
		f := found[name]
		if f.Entry.Kind != want.kind || f.Entry.Size != want.size || (f.Blocks == nil) != (want.first < 0) || f.Blocks != nil && int64(f.Blocks.First) != want.first {
			t.Errorf("%s: %s of %d bytes, %+v", name, f.Entry.Kind, f.Entry.Size, f.Blocks)
		}
	}
}

func TestTablespaceMapIsReadWithItsEscapes(t *testing.T) {
	got := tablespaces("16400 /srv/mit Leerzeichen\n16401 /a\\\\b\\nc\n")
	if len(got) != 2 || got[0].OID != "16400" || got[0].Location != "/srv/mit Leerzeichen" || got[1].Location != "/a\\b\nc" {
		t.Errorf("%+v", got)
	}
}

func BenchmarkChecksum(b *testing.B) {
	page := make([]byte, repo.PageSize)
	for i := range page {
		page[i] = byte(i * 7)
	}
	b.SetBytes(repo.PageSize)
	for b.Loop() {
		Checksum(page, 17)
	}
}
