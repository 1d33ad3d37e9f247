package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/escrow"
	"practicectl/internal/paper"
	"practicectl/internal/sealed"
	"practicectl/internal/uerr"
)

// identitySheet is the page of a whole identity.
func identitySheet(id *sealed.Identity, repository string, made time.Time) paper.Sheet {
	return paper.Sheet{
		Title:   "Identity that opens the backups",
		Warning: "Whoever has this page can read every backup that is encrypted for it. Keep it where fire and thieves do not find the other one too.",
		Facts: [][2]string{{"Made on", made.UTC().Format("2006-01-02")}, {"Public key", shorten(id.Recipient())}, {"Fingerprint", sealed.Fingerprint(id.Recipient())},
			{"Repository", repository}, {"Store", ""}, {"Kept by, at", ""}},
		Text: id.Secret().Reveal(),
		Steps: []string{
			"Scan the code into a file, or type the lines into one as they stand here, with number and last group. practicectl says which line is mistyped.",
			"Try it once a year: practicectl key check --identity FILE --store …",
			"Restore: practicectl restore run latest --identity FILE --store … --target DIR --owner-key FILE",
			"Without practicectl: write the groups of all lines but the last one of each behind each other, without blanks; that is an identity file for the program age. docs/formats/backup.md and restore-by-hand.py say how to go on.",
		},
	}
}

// shareSheet is the page of one share.
func shareSheet(s escrow.Share, id *sealed.Identity, repository string, made time.Time) paper.Sheet {
	return paper.Sheet{
		Title:   fmt.Sprintf("Share %d of %d of an identity that opens the backups", s.Number(), s.Count()),
		Warning: fmt.Sprintf("Any %d of these %d shares together open every backup; fewer open nothing. Keep them with different people.", s.Threshold(), s.Count()),
		Facts: [][2]string{{"Made on", made.UTC().Format("2006-01-02")}, {"Set", s.Set()}, {"Fingerprint", sealed.Fingerprint(id.Recipient()) + " (of the public key)"},
			{"Repository", repository}, {"Store", ""}, {"Kept by, at", ""}},
		Text: s.Text(),
		Steps: []string{
			fmt.Sprintf("Bring %d shares together. Scan the codes into one file, or type the lines as they stand here, with number and last group.", s.Threshold()),
			"Every command takes that file as --identity. Try it once a year: practicectl key check --identity FILE --store …",
			"To get the identity itself: practicectl key escrow combine FILE --out identity.key",
			"Without practicectl: docs/formats/combine-by-hand.py, which needs nothing but Python.",
		},
	}
}

// writeSheet writes a page for the owner only.
func writeSheet(path string, s paper.Sheet) error {
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		return err
	}
	return writeNew("write the page", path, b.Bytes())
}

// writeNew writes a file with a secret that nobody else may read, and never over another.
func writeNew(op, path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return uerr.New(uerr.Precond, op, path, errors.New("the file exists already and a key is never overwritten"), "choose another file name")
	case err != nil:
		return uerr.New(uerr.Precond, op, path, err, "choose a folder that exists and that you may write to")
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = atomicfile.SyncDir(filepath.Dir(path))
	}
	if err == nil {
		return nil
	}
	kind := uerr.Failed
	if diskspace.IsFull(err) {
		kind = uerr.NoSpace
	}
	return uerr.New(kind, op, path, errors.Join(err, os.Remove(path)), "")
}

// repositoryID is what a page says it is for: the id that was given, or that of the instance's repository, or nothing.
func (r *run) repositoryID(given string) string {
	if given != "" {
		return given
	}
	if k, err := r.hostKeys(); err == nil {
		return k.Pin.Repository
	}
	return ""
}
