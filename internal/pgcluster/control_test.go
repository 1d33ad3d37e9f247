package pgcluster_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
	"practicectl/internal/uerr"
)

func TestControlDataEqualsWhatTheServerSays(t *testing.T) {
	for _, major := range testenv.PGMajors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := testenv.PG(t, major)
			conn := connect(t, c, pgcluster.Superuser, "postgres")
			execSQL(t, conn, "CHECKPOINT")
			got, err := pgcluster.ReadControl(c.Data)
			if err != nil {
				t.Fatal(err)
			}
			var want pgcluster.Control
			var checkpoint, redo, wal string
			if err := conn.QueryRow(t.Context(), `SELECT s.system_identifier, s.pg_control_version, s.catalog_version_no,
				c.checkpoint_lsn::text, c.redo_lsn::text, c.timeline_id, c.prev_timeline_id, c.checkpoint_time, c.redo_wal_file,
				i.database_block_size, i.blocks_per_segment, i.wal_block_size, i.bytes_per_wal_segment, i.max_data_alignment,
				i.max_toast_chunk_size, i.large_object_chunk_size, i.data_page_checksum_version
				FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_init() i`).Scan(&want.SystemID, &want.Version, &want.CatalogVersion,
				&checkpoint, &redo, &want.Timeline, &want.PrevTimeline, &want.CheckpointTime, &wal,
				&want.BlockSize, &want.RelationSegment, &want.WALBlockSize, &want.WALSegmentSize, &want.MaxAlign,
				&want.ToastChunk, &want.LOSize, &want.DataChecksums); err != nil {
				t.Fatal(err)
			}
			if got.Checkpoint.String() != checkpoint || got.Redo.String() != redo || got.State != pgcluster.ControlInProduction ||
				pgcluster.WALName(got.Timeline, got.Redo, got.WALSegmentSize) != wal {
				t.Errorf("got %+v, the server says checkpoint %s redo %s in %s", got, checkpoint, redo, wal)
			}
			want.CheckpointTime = want.CheckpointTime.UTC()
			want.Checkpoint, want.Redo, want.State, want.Updated = got.Checkpoint, got.Redo, got.State, got.Updated
			want.NextXID, want.NextOID = got.NextXID, got.NextOID
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if got.DataChecksums != 1 {
				t.Errorf("data checksums are off")
			}
		})
	}
}

func TestDamagedControlDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "global"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := pgcluster.ReadControl(dir); uerr.KindOf(err) != uerr.NotFound {
		t.Errorf("missing file: %v", err)
	}
	good := controlBytes(1800)
	if _, err := pgcluster.ParseControl(good); err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), good...)
	flipped[41] ^= 1
	for name, tc := range map[string]struct {
		data []byte
		want uerr.Kind
	}{
		"one flipped bit": {flipped, uerr.Integrity},
		"truncated":       {good[:512], uerr.Integrity},
		"empty":           {nil, uerr.Integrity},
		"version 12":      {controlBytes(1201), uerr.Precond},
	} {
		if err := os.WriteFile(filepath.Join(dir, "global", "pg_control"), tc.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pgcluster.ReadControl(dir); uerr.KindOf(err) != tc.want {
			t.Errorf("%s: %v, want kind %v", name, err, tc.want)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add(controlBytes(1300))
	f.Add(controlBytes(1800))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := pgcluster.ParseControl(data)
		if err == nil && (c.WALSegmentSize == 0 || c.BlockSize == 0) {
			t.Errorf("accepted %+v", c)
		}
		if err != nil && (c != pgcluster.Control{}) {
			t.Errorf("an error came with data: %v", errors.Unwrap(err))
		}
	})
}

// controlBytes makes a valid pg_control of a format version.
func controlBytes(version uint32) []byte {
	b := make([]byte, 8192)
	le := binary.LittleEndian
	le.PutUint64(b, 42)
	le.PutUint32(b[8:], version)
	le.PutUint64(b[208:], 0x4132d68700000000) // 1234567.0
	for at, v := range map[int]uint32{216: 8192, 220: 131072, 224: 8192, 228: 16 << 20} {
		le.PutUint32(b[at:], v)
	}
	end := 288
	if version == 1800 {
		end = 292
	}
	le.PutUint32(b[end:], crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
