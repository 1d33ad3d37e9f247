package pgcluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/uerr"
)

// ControlState is what pg_control says the cluster was doing.
type ControlState uint32

// The states of DBState in catalog/pg_control.h.
const (
	ControlStartup ControlState = iota
	ControlShutDown
	ControlShutDownInRecovery
	ControlShuttingDown
	ControlInCrashRecovery
	ControlInArchiveRecovery
	ControlInProduction
)

var stateNames = [...]string{"starting up", "shut down", "shut down in recovery", "shutting down", "in crash recovery", "in archive recovery", "in production"}

func (s ControlState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint32(s))
}

// MarshalText writes the state in words.
func (s ControlState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Control is the control data of a cluster, as far as it is of use.
type Control struct {
	SystemID           uint64       // the same for a cluster and all its copies
	Version            uint32       // of the format: 1300 (PostgreSQL 13 to 16), 1700, 1800
	CatalogVersion     uint32       // such as 202506291
	State              ControlState //
	Updated            time.Time    // when the file was written, to the second
	Checkpoint         LSN          // of the last checkpoint's record
	Redo               LSN          // where recovery from that checkpoint begins
	Timeline           uint32       // of that checkpoint
	PrevTimeline       uint32
	CheckpointTime     time.Time
	MinRecovery        LSN // recovery must reach it before the cluster is consistent; 0: consistent
	MinRecoveryTLI     uint32
	BackupStart        LSN
	BackupEnd          LSN
	BackupEndRequired  bool
	BlockSize          uint32 // bytes
	RelationSegment    uint32 // blocks per file of a relation
	WALBlockSize       uint32 // bytes
	WALSegmentSize     uint32 // bytes
	DataChecksums      uint32 // version; 0: off
	NextXID, NextOID   uint64
	MaxAlign           uint32
	ToastChunk, LOSize uint32 // bytes
}

// controlSize is PG_CONTROL_FILE_SIZE.
const controlSize = 8192

// crcOffset is where the checksum lies in each version of the format, which is the size of what it covers.
func crcOffset(version uint32) int {
	switch version {
	case 1300, 1700: // 1700 put a field into padding
		return 288
	case 1800: // one more bool before the nonce
		return 292
	}
	return 0
}

// ReadControl reads global/pg_control of a data directory. While the server runs a read can meet a write in the middle,
// so a wrong checksum is read again as long as the bytes change, for a second at most. Error kinds: NotFound, Integrity (checksum), Precond (version).
func ReadControl(pgdata string) (Control, error) {
	name := filepath.Join(pgdata, "global", "pg_control")
	var c Control
	var raw []byte
	for range 20 {
		before := raw
		var err error
		raw, err = os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			return Control{}, uerr.New(uerr.NotFound, "read the control data", name, err, "make a cluster: practicectl db init")
		}
		if err != nil {
			return Control{}, uerr.New(uerr.Failed, "read the control data", name, err, "")
		}
		c, err = ParseControl(raw)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, errControlVersion):
			return Control{}, uerr.New(uerr.Precond, "read the control data", name, err, "use a PostgreSQL of version 15 to 18")
		case bytes.Equal(before, raw) && before != nil:
			return Control{}, damagedControl(name)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return Control{}, damagedControl(name)
}

func damagedControl(name string) error {
	return uerr.New(uerr.Integrity, "read the control data", name, errControlCRC, "the cluster is damaged; bring back the last snapshot: practicectl restore plan")
}

var (
	errControlCRC     = errors.New("the checksum is wrong")
	errControlVersion = errors.New("the format is not supported")
)

// ParseControl reads the bytes of a pg_control file (ControlFileData in catalog/pg_control.h; little endian, as on all
// platforms of the product) and verifies its CRC-32C.
func ParseControl(raw []byte) (Control, error) {
	if len(raw) != controlSize {
		return Control{}, fmt.Errorf("%w: the file has %d bytes, want %d", errControlCRC, len(raw), controlSize)
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(raw[at:]) }
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(raw[at:]) }
	lsn := func(at int) LSN { return LSN(u64(at)) }
	when := func(at int) time.Time { return time.Unix(int64(u64(at)), 0).UTC() }

	version := u32(8)
	end := crcOffset(version)
	if end == 0 {
		return Control{}, fmt.Errorf("%w: version %d", errControlVersion, version)
	}
	if crc32.Checksum(raw[:end], crc32.MakeTable(crc32.Castagnoli)) != u32(end) {
		return Control{}, errControlCRC
	}
	c := Control{
		SystemID: u64(0), Version: version, CatalogVersion: u32(12), State: ControlState(u32(16)), Updated: when(24),
		Checkpoint: lsn(32), Redo: lsn(40), Timeline: u32(48), PrevTimeline: u32(52), NextXID: u64(64), NextOID: uint64(u32(72)),
		CheckpointTime: when(104), MinRecovery: lsn(136), MinRecoveryTLI: u32(144), BackupStart: lsn(152), BackupEnd: lsn(160),
		BackupEndRequired: raw[168] != 0, MaxAlign: u32(204), BlockSize: u32(216), RelationSegment: u32(220),
		WALBlockSize: u32(224), WALSegmentSize: u32(228), ToastChunk: u32(240), LOSize: u32(244), DataChecksums: u32(252),
	}
	if math.Float64frombits(u64(208)) != 1234567.0 {
		return Control{}, fmt.Errorf("%w: floating point numbers are stored differently", errControlVersion)
	}
	if !powerOfTwo(c.BlockSize) || !powerOfTwo(c.WALBlockSize) || !powerOfTwo(c.WALSegmentSize) || c.WALSegmentSize < 1<<20 ||
		c.WALSegmentSize > 1<<30 || c.RelationSegment == 0 {
		return Control{}, fmt.Errorf("%w: block or segment sizes make no sense", errControlVersion)
	}
	return c, nil
}

func powerOfTwo(n uint32) bool { return n != 0 && n&(n-1) == 0 }
