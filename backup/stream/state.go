package stream

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

const (
	stateFormat  = 1
	stateFile    = "stream.json"
	snapshotFile = "snapshot.json"
	keepGaps     = 20 // closed or not, the newest ones
)

// State is how far a stream has come. It is written after each piece and every few seconds; losing it costs a listing of
// the store.
type State struct {
	Format     int           `json:"format"`
	Repository string        `json:"repository"`
	Updated    time.Time     `json:"updated"` // the stream lived then
	Slot       string        `json:"slot"`
	System     uint64        `json:"system_identifier,string"`
	Timeline   uint32        `json:"timeline"`
	Segment    uint32        `json:"wal_segment_size"`
	Stored     pgcluster.LSN `json:"stored_lsn"` // everything before is in the store, but for gaps
	StoredAt   time.Time     `json:"stored_at,omitzero"`
	Received   pgcluster.LSN `json:"received_lsn"`
	ServerEnd  pgcluster.LSN `json:"server_lsn"`         // where the server's log ended when it last spoke
	Oldest     time.Time     `json:"oldest,omitzero"`    // when the oldest log came in that is not stored yet; zero: all is
	Spool      SpoolInfo     `json:"spool"`              // log that waits for the store on the local disk
	Problem    string        `json:"problem,omitempty"`  // why the store or the server cannot be reached just now
	Since      time.Time     `json:"since,omitzero"`     // of the problem
	Dropping   bool          `json:"dropping,omitempty"` // the spool is full: what comes in is lost, so that the database goes on
	Gaps       []Gap         `json:"gaps"`
}

// SpoolInfo is what lies in the spool.
type SpoolInfo struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	Limit int64 `json:"limit"`
}

// Gap is log that is missing for good. The next snapshot makes good that it is: from there on every moment can be restored again.
type Gap struct {
	System   uint64        `json:"system_identifier,string"`
	Timeline uint32        `json:"timeline"` // on which the log goes on
	From     pgcluster.LSN `json:"from_lsn"`
	To       pgcluster.LSN `json:"to_lsn"` // 0: it still grows
	Noticed  time.Time     `json:"noticed"`
	Reason   string        `json:"reason"`
}

// Behind is the log, in bytes, that the store does not have.
func (s State) Behind() int64 {
	return max(0, int64(s.ServerEnd)-int64(s.Stored))
}

// Lag is the age of the oldest log that the store does not have; 0 when it has everything.
func (s State) Lag(now time.Time) time.Duration {
	if s.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Oldest))
}

// Open are the gaps that no snapshot has closed yet. dir is that of the stream.
func (s State) Open(dir string) []Gap {
	done := readSnapshotNote(dir)
	var open []Gap
	for _, g := range s.Gaps {
		if g.To == 0 || done.System != g.System || done.Timeline < g.Timeline || done.Stop < g.To {
			open = append(open, g)
		}
	}
	return open
}

// Alarm is the error of the first open gap; nil: there is none. Error kind: WALGap.
func (s State) Alarm(dir string) error {
	open := s.Open(dir)
	if len(open) == 0 {
		return nil
	}
	g := open[0]
	to, hint := g.To.String(), "a snapshot makes it good: practicectl backup run"
	if g.To == 0 {
		to, hint = "now", "make the store reachable again; then a snapshot makes it good: practicectl backup run"
	}
	return uerr.New(uerr.WALGap, "log is missing in the repository from "+g.From.String()+" to", to, errors.New(g.Reason), hint)
}

// Read reads the state in the folder of a stream. Error kinds: NotFound (none ran here), Precond.
func Read(dir string) (State, error) {
	const op = "read the state of the log stream"
	path := filepath.Join(dir, stateFile)
	var s State
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, uerr.New(uerr.NotFound, op, path, errors.New("there was none yet"), "practicectl backup stream")
	case err != nil:
		return s, uerr.New(uerr.Precond, op, path, err, "run the command as the account that owns the instance")
	case json.Unmarshal(data, &s) != nil || s.Format != stateFormat:
		return State{}, nil // as good as none: the store knows
	}
	return s, nil
}

// save writes the state; mu is held.
func (s *streamer) save() error {
	s.st.Updated = s.o.Now().UTC()
	s.st.Spool = s.spool.info()
	s.st.Oldest = s.oldest()
	if n := len(s.st.Gaps); n > keepGaps {
		s.st.Gaps = s.st.Gaps[n-keepGaps:]
	}
	return Write(s.o.Dir, s.st)
}

// Write keeps a state in the folder of a stream. Error kinds: NoSpace, Precond.
func Write(dir string, s State) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return uerr.New(uerr.Precond, "keep the state of the log stream", dir, err, "run the command as the account that owns the instance")
	}
	s.Format = stateFormat
	return writeFile(dir, stateFile, s)
}

func writeFile(dir, name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	path := filepath.Join(dir, name)
	if err == nil {
		err = atomicfile.WriteBytes(path, 0o640, append(data, '\n'))
	}
	switch {
	case err == nil:
		return nil
	case diskspace.IsFull(err):
		return uerr.New(uerr.NoSpace, "keep the state of the log stream", path, err, "make room on that disk")
	}
	return uerr.New(uerr.Precond, "keep the state of the log stream", path, err, "run the command as the account that owns the instance")
}

// snapshotNote is the newest snapshot of this host.
type snapshotNote struct {
	System   uint64        `json:"system_identifier,string"`
	Timeline uint32        `json:"timeline"`
	Stop     pgcluster.LSN `json:"stop_lsn"`
}

// NoteSnapshot tells the stream with the folder dir of a committed snapshot: it closes the gaps before it.
func NoteSnapshot(dir string, h repo.Header) error {
	if h.Database == nil {
		return nil
	}
	stop, err := pgcluster.ParseLSN(h.Database.Stop)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return uerr.New(uerr.Precond, "note the snapshot in", dir, err, "")
	}
	return writeFile(dir, snapshotFile, snapshotNote{h.Database.System, h.Database.Timeline, stop})
}

// readSnapshotNote returns nothing when there is none: then no gap counts as closed.
func readSnapshotNote(dir string) (n snapshotNote) {
	data, err := os.ReadFile(filepath.Join(dir, snapshotFile))
	if err != nil || json.Unmarshal(data, &n) != nil {
		return snapshotNote{}
	}
	return n
}
