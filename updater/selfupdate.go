package updater

import (
	"crypto"
	_ "crypto/sha256" // go-update asks the registry for it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	update "github.com/inconshreveable/go-update"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
)

// replaceSelf makes the new practicectl in dir, a version folder that is not live, by updating a copy of the live one with
// go-update. The live program is only read: what makes the new one live is the switch of the slots.
//
// go-update by itself trusts what it is given, reads it into memory, never syncs, widens the mode and deletes the old
// binary; here it always gets a checksum, the mode and a place for the old binary, and file and folder are synced after.
func replaceSelf(m archive.Manifest, live, dir string) error {
	entry, err := program(m)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(entry.SHA256)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, filepath.FromSlash(entry.Path))
	incoming := filepath.Join(dir, ".incoming")
	if err := os.Rename(target, incoming); err != nil {
		return err
	}
	before, err := copyProgram(filepath.Join(live, filepath.FromSlash(entry.Path)), target, incoming)
	if err != nil {
		return err
	}
	if err := errors.Join(applySelf(incoming, target, sum, before.Mode()), sameOwner(target, before)); err != nil {
		return err
	}
	// What remains beside the program is not part of the component.
	return errors.Join(os.Remove(target+previousSuffix), os.Remove(incoming), atomicfile.SyncDir(dir))
}

const previousSuffix = ".previous"

// applySelf replaces target by the content of incoming, which must have the SHA-256 sum. When it fails, target is as it was.
func applySelf(incoming, target string, sum []byte, mode fs.FileMode) error {
	if len(sum) != crypto.SHA256.Size() || mode.Perm() == 0 {
		return uerr.New(uerr.Integrity, "update", target, errors.New("no checksum or no mode to give it"), "")
	}
	stream, err := os.Open(incoming)
	if err != nil {
		return err
	}
	defer stream.Close()
	err = update.Apply(stream, update.Options{
		TargetPath: target, TargetMode: mode.Perm(), OldSavePath: target + previousSuffix, Hash: crypto.SHA256, Checksum: sum,
	})
	if rollback := update.RollbackError(err); rollback != nil {
		// go-update has moved the old program away and could not bring it back: do it here.
		err = errors.Join(err, rollback, os.Rename(target+previousSuffix, target))
	}
	if err != nil {
		err = errors.Join(err, remove(filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".new")))
		return uerr.New(uerr.Integrity, "update", target, err, "run the same command again: it fetches the program anew")
	}
	// The umask may have narrowed the mode; durable before anything points to it.
	f, err := os.OpenFile(target, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(mode.Perm()), f.Sync(), f.Close(), atomicfile.SyncDir(filepath.Dir(target)))
}

// program finds practicectl in its component.
func program(m archive.Manifest) (archive.File, error) {
	for _, f := range m.Files {
		if strings.TrimSuffix(path.Base(f.Path), ".exe") == release.Practicectl && f.Mode == "0755" {
			return f, nil
		}
	}
	return archive.File{}, uerr.New(uerr.Integrity, "find the program in", m.Name, errors.New("the component has none"), "tell the vendor; nothing was installed")
}

// copyProgram copies the live program to dst and returns what it was like. A live version without the program, such as one that
// had it under another name, is replaced by the incoming one.
func copyProgram(src, dst, otherwise string) (fs.FileInfo, error) {
	in, err := os.Open(src)
	if errors.Is(err, fs.ErrNotExist) {
		in, err = os.Open(otherwise)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, st.Mode().Perm())
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, fmt.Errorf("copy the live program: %w", err)
	}
	return st, nil
}
