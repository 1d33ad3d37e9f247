package backup

import (
	"context"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"practicectl/internal/objstore"
)

// counting is a store that counts the requests of a run. A listing is one for each thousand objects, as in S3.
type counting struct {
	objstore.Store
	n atomic.Int64
}

// pageOfList is the number of objects that one request for a list tells of.
const pageOfList = 1000

func (c *counting) Put(ctx context.Context, key string, r io.Reader, size int64, o objstore.PutOptions) (objstore.Info, error) {
	c.n.Add(1)
	return c.Store.Put(ctx, key, r, size, o)
}

func (c *counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	c.n.Add(1)
	return c.Store.Get(ctx, key, off, n)
}

func (c *counting) Stat(ctx context.Context, key string) (objstore.Info, error) {
	c.n.Add(1)
	return c.Store.Stat(ctx, key)
}

func (c *counting) Retain(ctx context.Context, key, version string, until time.Time) error {
	c.n.Add(1)
	return c.Store.Retain(ctx, key, version, until)
}

func (c *counting) GetVersion(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	c.n.Add(1)
	return c.Store.GetVersion(ctx, key, version, off, n)
}

func (c *counting) StatVersion(ctx context.Context, key, version string) (objstore.Info, error) {
	c.n.Add(1)
	return c.Store.StatVersion(ctx, key, version)
}

func (c *counting) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return c.pages(c.Store.List(ctx, prefix))
}

func (c *counting) AllVersions(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return c.pages(c.Store.AllVersions(ctx, prefix))
}

func (c *counting) Versions(ctx context.Context, key string) iter.Seq2[objstore.Info, error] {
	return c.pages(c.Store.Versions(ctx, key))
}

func (c *counting) pages(list iter.Seq2[objstore.Info, error]) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		c.n.Add(1)
		seen := 0
		for info, err := range list {
			if seen++; seen%pageOfList == 1 && seen > 1 {
				c.n.Add(1)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}
