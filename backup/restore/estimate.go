package restore

import (
	"context"
	"io"
	"time"

	"practicectl/backup/repo"
)

// Estimate says how long a restore takes, and on what that rests. It is for one stream: several at once are often faster.
type Estimate struct {
	Seconds  float64 `json:"seconds"`       // fetching, unpacking and writing; without starting the copy to prove it
	Store    int64   `json:"store_rate"`    // bytes a second, measured just now
	Latency  float64 `json:"store_latency"` // seconds until a request is answered, measured just now
	Machine  int64   `json:"machine_rate"`  // bytes a second that this machine is assumed to unpack and to write
	Measured int64   `json:"measured"`      // bytes that were read to find out
}

const (
	probeBytes  = 4 << 20
	assumedRate = 300 << 20
)

// Measure reads a little of what the plan needs from the store, and fills in the estimate. Error kinds: as for a restore.
func (p *Plan) Measure(ctx context.Context, now func() time.Time) error {
	e := Estimate{Machine: assumedRate}
	if needs := p.needs(everything); len(needs) > 0 {
		largest := needs[0].pack
		for _, n := range needs {
			if n.pack.Size > largest.Size {
				largest = n.pack
			}
		}
		began := now()
		rc, err := p.repo.Store.Get(ctx, largest.ID.Key(), 0, min(largest.Size, probeBytes))
		if err != nil {
			return repo.StoreError("read the pack", p.repo.Store, largest.ID.Key(), err)
		}
		answered := now()
		if e.Measured, err = io.Copy(io.Discard, rc); err != nil {
			_ = rc.Close() // the error of the reading is what counts
			return repo.StoreError("read the pack", p.repo.Store, largest.ID.Key(), err)
		}
		if err := rc.Close(); err != nil {
			return repo.StoreError("read the pack", p.repo.Store, largest.ID.Key(), err)
		}
		e.Latency = answered.Sub(began).Seconds()
		e.Store = int64(float64(e.Measured) / max(now().Sub(began).Seconds(), 1e-6))
		e.Seconds = max(float64(p.Download)/float64(max(e.Store, 1)), float64(p.Requests)*e.Latency/requests)
	}
	e.Seconds = max(e.Seconds, float64(p.Write)/assumedRate)
	p.Estimate = &e
	return nil
}
