package writer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/diskspace"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// cache keeps copies of this host's index segments and, until a run has committed, the index of each pack that it stored.
// Segments are sealed with their own names, so that a copy can be trusted as much as the object.
type cache struct {
	dir        string
	store      objstore.Store
	key        repo.IndexKey
	host       string
	generation int // of the settings that the run works with
	next       int // sequence number of the next segment
	junk       []error
}

// knownPack is a pack named by the index.
type knownPack struct {
	index   repo.PackIndex
	from    string // the segment that names it
	pending bool   // stored by a run that did not commit
}

const maxSegmentObject = 64 << 20

func (c *cache) segmentFile(key string) string {
	return filepath.Join(c.dir, "index", filepath.Base(key))
}

func (c *cache) pendingDir() string { return filepath.Join(c.dir, "pending") }

// load returns all packs that segments in the store or pending files of this host name, in the order in which they were
// stored. A copy that is not there or cannot be opened is fetched again.
func (c *cache) load(ctx context.Context) ([]knownPack, error) {
	for _, dir := range []string{filepath.Join(c.dir, "index"), c.pendingDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, cacheError(dir, err)
		}
	}
	var out []knownPack
	prefix := repo.IndexPrefix + c.host + "/"
	for info, err := range repo.ListAll(ctx, c.store, prefix) {
		if err != nil {
			return nil, repo.StoreError("list the index of", c.store, "", err)
		}
		if _, ok := repo.ParseSegmentKey(info.Key); !ok {
			continue // nobody of ours writes such a name
		}
		packs, err := c.segment(ctx, info.Key)
		if uerr.KindOf(err) == uerr.Integrity {
			c.junk = append(c.junk, err) // the index is a hint: without this part of it some content is stored again
			err = nil
		}
		if err != nil {
			return nil, err
		}
		for _, p := range packs {
			out = append(out, knownPack{index: p, from: info.Key})
		}
		c.next++
		if seq, _ := repo.ParseSegmentKey(info.Key); seq > c.next {
			c.next = seq
		}
	}
	c.next++
	pending, err := c.pending()
	return append(out, pending...), err
}

func (c *cache) segment(ctx context.Context, key string) ([]repo.PackIndex, error) {
	if data, err := os.ReadFile(c.segmentFile(key)); err == nil {
		if packs, err := c.key.OpenSegment(key, data); err == nil || c.key.IsOld(data) {
			return packs, nil
		}
	}
	var packs []repo.PackIndex
	data, err := repo.ReadGenuine(ctx, c.store, "read the index of", key, maxSegmentObject, func(data []byte) (err error) {
		packs, err = c.key.OpenSegment(key, data)
		if c.key.IsOld(data) {
			return nil // of an earlier epoch: it was right then, and is of no use now
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return packs, c.keep(c.segmentFile(key), data)
}

func (c *cache) keep(path string, data []byte) error {
	err := atomicfile.WriteBytes(path, 0o600, data)
	if err == nil {
		return nil
	}
	return cacheError(path, err)
}

func cacheError(path string, err error) error {
	if diskspace.IsFull(err) {
		return uerr.New(uerr.NoSpace, "keep the backup's cache", path, err, "make room on that disk, then run the same command again")
	}
	return uerr.New(uerr.Precond, "keep the backup's cache", path, err, "run the command as the account that owns the instance")
}

// pendingKey binds a pending file to its pack as a segment is bound to its object, and to the generation of the settings that
// the pack was sealed for: a rotation of keys that did not see the pack does not hand it on to the new identities.
func (c *cache) pendingKey(id repo.PackID) string {
	return fmt.Sprintf("pending/%d/%s", c.generation, id)
}

// remember notes the content of a stored pack, so that the next run uses it when this one does not commit.
func (c *cache) remember(p repo.PackIndex) error {
	data, err := c.key.SealSegment(c.pendingKey(p.Pack.ID), []repo.PackIndex{p})
	if err != nil {
		return err
	}
	return c.keep(filepath.Join(c.pendingDir(), p.Pack.ID.String()), data)
}

// pending reads the notes of a run that did not commit. A note that cannot be read is dropped: its pack is then an orphan.
func (c *cache) pending() ([]knownPack, error) {
	entries, err := os.ReadDir(c.pendingDir())
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read the backup's cache", c.pendingDir(), err, "")
	}
	var out []knownPack
	for _, e := range entries {
		id, err := repo.ParsePackID(e.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(c.pendingDir(), e.Name()))
		if err != nil {
			continue
		}
		packs, err := c.key.OpenSegment(c.pendingKey(id), data)
		if err != nil || len(packs) != 1 || packs[0].Pack.ID != id {
			continue
		}
		out = append(out, knownPack{index: packs[0], from: c.pendingKey(id), pending: true})
	}
	return out, nil
}

// forget removes the notes after a commit, and copies of segments that are not this host's any more.
func (c *cache) forget() error {
	entries, err := os.ReadDir(c.pendingDir())
	if err != nil {
		return cacheError(c.pendingDir(), err)
	}
	var errs []error
	for _, e := range entries {
		if err := os.Remove(filepath.Join(c.pendingDir(), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(e.Name(), ".") {
			errs = append(errs, cacheError(filepath.Join(c.pendingDir(), e.Name()), err))
		}
	}
	return errors.Join(errs...)
}
