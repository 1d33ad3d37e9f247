package steps

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// Event is what one journal line says.
type Event string

// The events. A transaction is a begin, any number of step events, and one of the last three.
const (
	EventBegin      Event = "begin"
	EventSatisfied  Event = "satisfied"   // the step held already; it is not undone later
	EventDoing      Event = "doing"       // Apply is about to run
	EventDone       Event = "done"        // Apply ran and Verify held
	EventFailed     Event = "failed"      // from here on the transaction goes back
	EventUndoing    Event = "undoing"     // Undo is about to run
	EventUndone     Event = "undone"      // Undo ran
	EventStuck      Event = "stuck"       // an Undo failed; the transaction stays open and the next run tries again
	EventCommitted  Event = "committed"   // end: every step holds
	EventRolledBack Event = "rolled-back" // end: everything done was undone
)

// Record is one line of a journal.
type Record struct {
	Seq    int               `json:"seq"`
	Prev   string            `json:"prev"` // SHA-256 of the line before, in hex; empty in the first
	Time   time.Time         `json:"ts"`
	Txn    string            `json:"txn"`
	Event  Event             `json:"event"`
	Step   string            `json:"step,omitempty"`
	Note   string            `json:"note,omitempty"`
	Job    string            `json:"job,omitempty"`    // begin only
	Params map[string]string `json:"params,omitempty"` // begin only
	Steps  []string          `json:"steps,omitempty"`  // begin only
}

// Options says how a journal is run. The zero value begins transactions without parameters and finishes an unfinished
// one by going on.
type Options struct {
	// Job names the work, such as "update apply".
	Job string
	// Params are kept in the begin line, so that a later process can make the same steps again: versions, the desired
	// state. No secrets. They are read only when a transaction begins.
	Params map[string]string
	// Resume says what to do with an unfinished transaction that has not begun to go back.
	Resume Direction
	// CommitAfter names the step after which there is no way back: once it is done, a failure leaves the transaction
	// open and the next run goes on, whatever Resume says. Empty: the end of the list.
	CommitAfter string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Crash is called between any two durable acts, with a name for the place. Tests end the process there.
	Crash func(point string)
}

// Direction is where an unfinished transaction goes.
type Direction int

// The directions.
const (
	Forward Direction = iota // finish what is left
	Back                     // undo what was done
)

// Journal is the durable memory of transactions: JSON lines, each carrying the hash of the line before, each synced
// before the work it announces and after the work it reports. One process at a time may have it open: hold a
// [practicectl/internal/lockfile] around it.
type Journal struct {
	o    Options
	f    *os.File
	last string // hash of the last line
	seq  int
	size int64 // bytes of whole lines
	txns []*Transaction
}

// Open opens or creates the journal at path. A torn last line, left by a power cut, is cut off. Error kinds: Integrity
// when a line was changed or is missing, Precond when the file cannot be opened.
func Open(path string, o Options) (*Journal, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, uerr.New(uerr.Precond, "make the journal folder", filepath.Dir(path), err, "")
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, uerr.New(uerr.Precond, "read the journal", path, err, "")
	}
	j := &Journal{o: o}
	whole, err := j.replay(path, data)
	if err != nil {
		return nil, err
	}
	if j.f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o640); err != nil {
		return nil, uerr.New(uerr.Precond, "open the journal", path, err, "")
	}
	if err := j.settle(path, whole, len(data)); err != nil {
		return nil, errors.Join(uerr.New(uerr.Precond, "open the journal", path, err, ""), j.f.Close())
	}
	return j, nil
}

// settle cuts a torn tail off and moves to the end.
func (j *Journal) settle(path string, whole, size int) error {
	if whole < size {
		if err := errors.Join(j.f.Truncate(int64(whole)), j.f.Sync()); err != nil {
			return err
		}
	}
	j.size = int64(whole)
	return atomicfile.SyncDir(filepath.Dir(path))
}

// Close closes the file. Nothing is lost when it is never called.
func (j *Journal) Close() error { return j.f.Close() }

// Read returns the transactions in the journal at path, oldest first, without changing the file. A missing file has
// none. Error kind: Integrity.
func Read(path string) ([]Transaction, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read the journal", path, err, "")
	}
	j := &Journal{}
	if _, err := j.replay(path, data); err != nil {
		return nil, err
	}
	return j.History(), nil
}

// replay reads the whole lines of data and returns how many bytes they have.
func (j *Journal) replay(path string, data []byte) (whole int, err error) {
	for len(data) > whole {
		line, _, complete := bytes.Cut(data[whole:], []byte("\n"))
		isLast := whole+len(line)+1 >= len(data)
		var r Record
		if !complete {
			return whole, nil // torn
		}
		if err := json.Unmarshal(line, &r); err != nil {
			if isLast {
				return whole, nil // torn: a block of the line was never written
			}
			return 0, damaged(path, j.seq+1, err)
		}
		if r.Seq != j.seq+1 || r.Prev != j.last {
			return 0, damaged(path, j.seq+1, errors.New("it does not follow the line before"))
		}
		if err := j.take(r); err != nil {
			return 0, damaged(path, r.Seq, err)
		}
		j.seq, j.last = r.Seq, hash(line)
		whole += len(line) + 1
	}
	return whole, nil
}

func damaged(path string, line int, err error) error {
	return uerr.New(uerr.Integrity, "read the journal", path, fmt.Errorf("line %d: %w", line, err),
		"move the file away to begin a new one: what it would have finished or undone is then up to you")
}

// append makes one line durable.
func (j *Journal) append(r Record) error {
	r.Seq, r.Prev, r.Time = j.seq+1, j.last, j.o.Now().UTC()
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if _, err := j.f.WriteAt(line, j.size); err != nil {
		// Half a line may be there, such as on a full disk. The next append must not come after it.
		return errors.Join(fmt.Errorf("write the journal: %w", err), j.f.Truncate(j.size))
	}
	if err := j.f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync the journal: %w", err), j.f.Truncate(j.size))
	}
	if err := j.take(r); err != nil {
		return err
	}
	j.seq, j.last, j.size = r.Seq, hash(line[:len(line)-1]), j.size+int64(len(line))
	return nil
}

func hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

func newTxnID(now time.Time) string {
	var b [4]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}
