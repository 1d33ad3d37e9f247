// Package restore lays a snapshot down beside its target, proves it, and only then puts it in place; or it brings a stopped
// database back in place, page by page, with a way back.
package restore

import (
	"context"
	"sync/atomic"

	"practicectl/backup/repo"
)

// Want says what of a snapshot is restored where to.
type Want struct {
	Target      string   // "": only to look
	InPlace     bool     // the target has something already, which becomes the snapshot by its differences
	Paths       []string // only these files and folders, see [Plan.Paths]; none: all
	ClusterOnly bool     // the database without the files beside it
}

// Plan is what a restore will do. It is made once, shown, and executed as it is.
type Plan struct {
	Key      string      `json:"key"`
	Snapshot repo.Header `json:"snapshot"`
	Target   string      `json:"target"` // a folder that does not exist yet, or is empty, unless in place
	InPlace  bool        `json:"in_place,omitempty"`
	// Paths are the patterns (path.Match) of what is restored, such as "files/etc/practice/*"; a folder comes with all below it.
	// None: everything.
	Paths    []string  `json:"paths,omitempty"`
	Files    int64     `json:"files"`              // files, folders and links to lay down
	Bytes    int64     `json:"bytes"`              // of these files
	Write    int64     `json:"write"`              // bytes of them that have to be written
	Download int64     `json:"download"`           // bytes to read from the store, at most
	Log      int64     `json:"log"`                // bytes of them that are log
	Packs    int       `json:"packs"`              // to read from the store
	Requests int       `json:"requests"`           // that the store will get, about
	Free     int64     `json:"free"`               // bytes on the target's disk
	Estimate *Estimate `json:"estimate,omitempty"` // how long it will take; see [Plan.Measure]
	Replay   *Replay   `json:"replay,omitempty"`   // log to replay after the snapshot; nil: none

	repo   *repo.Repo
	key    repo.IndexKey
	hash   *repo.Hasher
	body   repo.Body
	packs  map[repo.PackID]repo.StoredPack
	frames map[repo.PackID]int // number of frames, where the index told it
	trees  []tree
	jobs   map[repo.PackID]*packJob
	zeros  []op   // pages of zeros to write over something else
	data   string // folder of the cluster below the target
	alone  bool   // the cluster without the files beside it

	suspects suspects
	traffic
}

// traffic counts what was really read.
type traffic struct {
	requests, bytes atomic.Int64
}

// NewPlan opens the snapshot s and reads its trees. Error kinds: Auth (identity), Usage (a pattern), NotFound (nothing matches),
// Integrity naming the object, Unreachable.
func NewPlan(ctx context.Context, r *repo.Repo, s repo.Snapshot, want Want) (*Plan, error) {
	p := &Plan{Key: s.Key, Snapshot: s.Header, Target: want.Target, InPlace: want.InPlace, Paths: want.Paths, repo: r, data: dataDir, alone: want.ClusterOnly,
		packs: map[repo.PackID]repo.StoredPack{}, frames: map[repo.PackID]int{}, jobs: map[repo.PackID]*packJob{}}
	var err error
	if p.body, err = r.Body(s); err != nil {
		return nil, err
	}
	if p.key, err = r.IndexKeyOf(s.Header.Epoch); err != nil {
		return nil, err
	}
	p.hash = p.hashers()
	packs, err := r.Packs(ctx, s.Header)
	if err != nil {
		return nil, err
	}
	for _, k := range packs {
		p.packs[k.ID] = k
	}
	if err := checkPaths(want.Paths); err != nil {
		return nil, err
	}
	if err := p.chooseForm(); err != nil {
		return nil, err
	}
	if err := p.readTrees(ctx); err != nil {
		return nil, err
	}
	p.count()
	return p, nil
}

// hashers makes a hasher for one goroutine.
func (p *Plan) hashers() *repo.Hasher { return p.key.Hasher() }

// HasDatabase tells whether the result is a cluster, and not only some of its files.
func (p *Plan) HasDatabase() bool { return p.body.Database != nil && len(p.Paths) == 0 }

// count sums up what the ops need.
func (p *Plan) count() {
	p.Download, p.Log, p.Packs, p.Requests, p.Write = 0, 0, 0, 0, p.toWrite()
	for _, n := range p.needs(everything) {
		p.Packs++
		if p.sparse(n) {
			p.Requests += 2 + len(n.frames)
			p.Download += min(n.pack.Size, n.bytes)
			continue
		}
		p.Requests++
		p.Download += n.pack.Size
	}
	if p.HasDatabase() {
		for _, w := range p.Snapshot.WAL {
			p.Log += w.Size
		}
		p.Download += p.Log
		p.Requests += len(p.body.Database.WAL)
		if r := p.Replay; r != nil {
			p.Log, p.Download, p.Requests = p.Log+r.Bytes, p.Download+r.Bytes, p.Requests+r.Objects
		}
	}
}
