package writer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"practicectl/backup/catalog"
	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// cache keeps the catalog of this host's index segments and, until a run has committed, the index of each pack that it
// stored. The latter are sealed with their own names, as segments are.
type cache struct {
	dir        string
	store      objstore.Store
	key        repo.IndexKey
	host       string
	generation int // of the settings that the run works with
	next       int // sequence number of the next segment
	junk       []error
}

const maxSegmentObject = 64 << 20

func (c *cache) pendingDir() string { return filepath.Join(c.dir, "pending") }
func (c *cache) catalogDir() string { return filepath.Join(c.dir, "catalog") }
func (c *cache) spillDir() string   { return filepath.Join(c.dir, "spill") }

// prepare makes the folders and removes what a run left that was killed.
func (c *cache) prepare() error {
	if err := os.RemoveAll(c.spillDir()); err != nil {
		return repo.CacheError(c.spillDir(), err)
	}
	for _, dir := range []string{c.catalogDir(), c.pendingDir(), c.spillDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return repo.CacheError(dir, err)
		}
	}
	return nil
}

// load opens the catalog and enters the segments of this host that it does not know.
func (c *cache) load(ctx context.Context, tagger func() *repo.Tagger) (*catalog.Catalog, error) {
	known, err := catalog.Open(c.catalogDir(), tagger)
	if err != nil {
		return nil, repo.CacheError(c.catalogDir(), err)
	}
	for info, err := range repo.ListAll(ctx, c.store, repo.IndexPrefix+c.host+"/") {
		if err != nil {
			return nil, repo.StoreError("list the index of", c.store, "", err)
		}
		seq, ok := repo.ParseSegmentKey(info.Key)
		if !ok {
			continue // nobody of ours writes such a name
		}
		c.next = max(c.next, seq)
		if known.Covers(info.Key) {
			continue
		}
		packs, err := c.fetch(ctx, info.Key)
		if uerr.KindOf(err) == uerr.Integrity {
			c.junk = append(c.junk, err) // the index is a hint: without this part of it some content is stored again
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := known.Add(info.Key, packs); err != nil {
			return nil, repo.CacheError(c.catalogDir(), err)
		}
	}
	c.next++
	return known, nil
}

func (c *cache) fetch(ctx context.Context, key string) (packs []repo.PackIndex, err error) {
	_, err = repo.ReadGenuine(ctx, c.store, "read the index of", key, maxSegmentObject, func(data []byte) (err error) {
		packs, err = c.key.OpenSegment(key, data)
		if c.key.IsOld(data) {
			return nil // of an earlier epoch: it was right then, and is of no use now
		}
		for _, p := range packs {
			for _, f := range p.Frames {
				if _, ferr := f.Bytes(); ferr != nil {
					err = ferr
				}
			}
		}
		return err
	})
	return packs, err
}

// pendingKey binds a pending file to its pack as a segment is bound to its object, and to the generation of the settings that
// the pack was sealed for: a rotation of keys that did not see the pack does not hand it on to the new identities.
func (c *cache) pendingKey(id repo.PackID) string {
	return fmt.Sprintf("pending/%d/%s", c.generation, id)
}

func (c *cache) pendingFile(id repo.PackID) string {
	return filepath.Join(c.pendingDir(), id.String())
}

// remember notes the content of a stored pack: for the index at the end of this run, and so that the next run uses it when
// this one does not commit.
func (c *cache) remember(p repo.PackIndex) error {
	data, err := c.key.SealSegment(c.pendingKey(p.Pack.ID), []repo.PackIndex{p})
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(c.pendingFile(p.Pack.ID), 0o600, data); err != nil {
		return repo.CacheError(c.pendingFile(p.Pack.ID), err)
	}
	return nil
}

// recall reads a note. One that cannot be read does not count: its pack is then an orphan.
func (c *cache) recall(id repo.PackID) (repo.PackIndex, bool) {
	data, err := os.ReadFile(c.pendingFile(id))
	if err != nil {
		return repo.PackIndex{}, false
	}
	packs, err := c.key.OpenSegment(c.pendingKey(id), data)
	if err != nil || len(packs) != 1 || packs[0].Pack.ID != id {
		return repo.PackIndex{}, false
	}
	return packs[0], true
}

// pending lists the packs that there are notes about.
func (c *cache) pending() ([]repo.PackID, error) {
	entries, err := os.ReadDir(c.pendingDir())
	if err != nil {
		return nil, uerr.New(uerr.Precond, "read the backup's cache", c.pendingDir(), err, "")
	}
	var out []repo.PackID
	for _, e := range entries {
		if id, err := repo.ParsePackID(e.Name()); err == nil {
			out = append(out, id)
		}
	}
	return out, nil
}

// forget removes the notes after a commit.
func (c *cache) forget() error {
	entries, err := os.ReadDir(c.pendingDir())
	if err != nil {
		return repo.CacheError(c.pendingDir(), err)
	}
	var errs []error
	for _, e := range entries {
		if err := os.Remove(filepath.Join(c.pendingDir(), e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(e.Name(), ".") {
			errs = append(errs, repo.CacheError(filepath.Join(c.pendingDir(), e.Name()), err))
		}
	}
	return errors.Join(errs...)
}
