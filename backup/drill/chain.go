package drill

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/objstore"
	"practicectl/internal/uerr"
)

// A host's pieces of evidence are a chain: numbered, each with the SHA-256 of the one before, all signed with one key. The host
// keeps a copy of each, so that it notices when the store's are changed or gone; one that could not be stored yet waits in a
// file that ends in pending.

const pending = ".pending"

// Piece is one piece of evidence as it was found.
type Piece struct {
	Key      string    `json:"key"`
	SHA256   string    `json:"sha256,omitempty"`
	Evidence *Evidence `json:"evidence,omitempty"`
	Pending  bool      `json:"pending,omitempty"` // it lies on this machine only, until the store can be reached
	Problem  string    `json:"problem,omitempty"` // why it cannot be trusted
}

// Chain is the evidence of one host, oldest first.
type Chain struct {
	Host   string  `json:"host"`
	Signer string  `json:"signer"` // fingerprint of the key
	Own    bool    `json:"own"`    // it is this host's, and was compared with the copies here
	Pieces []Piece `json:"pieces"`
}

// Sound tells whether nothing in the chain was changed, exchanged or taken away.
func (c Chain) Sound() bool {
	return !slices.ContainsFunc(c.Pieces, func(p Piece) bool { return p.Problem != "" })
}

// Keeper is who keeps evidence on this machine.
type Keeper struct {
	Host  string             // names the chain
	Key   ed25519.PrivateKey // signs it
	State string             // folder of the copies, which may not exist yet
}

func (k Keeper) folder() string { return filepath.Join(k.State, "evidence") }
func (k Keeper) file(number int) string {
	return filepath.Join(k.folder(), fmt.Sprintf("%s-%08d.json", k.Host, number))
}
func (k Keeper) parse(n int, data []byte) (repo.EvidenceLink, *Evidence, error) {
	return parse(repo.EvidenceKey(k.Host, n), data)
}

func parse(key string, data []byte) (repo.EvidenceLink, *Evidence, error) {
	e := &Evidence{}
	link, err := repo.ParseEvidence(key, data, e)
	return link, e, err
}

// held are the copies of this host's evidence, by number. Those that wait for the store are told apart.
func (k Keeper) held() (copies map[int][]byte, waiting map[int]bool, err error) {
	copies, waiting = map[int][]byte{}, map[int]bool{}
	entries, err := os.ReadDir(k.folder())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, uerr.New(uerr.Precond, "read the evidence in", k.folder(), err, "run the command as the account that owns the instance")
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), k.Host+"-")
		if !ok {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(rest, "%08d.json", &n); err != nil || n < 1 {
			continue
		}
		data, err := os.ReadFile(filepath.Join(k.folder(), e.Name()))
		if err != nil {
			return nil, nil, uerr.New(uerr.Precond, "read the evidence in", k.folder(), err, "run the command as the account that owns the instance")
		}
		copies[n], waiting[n] = data, strings.HasSuffix(e.Name(), pending)
	}
	return copies, waiting, nil
}

// Newest is the last piece that this host wrote, from its own copies; nil: none. It looks at this machine only.
func (k Keeper) Newest() (*Evidence, error) {
	copies, _, err := k.held()
	if err != nil || len(copies) == 0 {
		return nil, err
	}
	n := slices.Max(slices.Collect(maps.Keys(copies)))
	_, e, err := k.parse(n, copies[n])
	if err != nil {
		return nil, uerr.New(uerr.Integrity, "read the evidence in", k.file(n), err, "practicectl drill list")
	}
	return e, nil
}

// Chains reads and checks all evidence: that of every host in the store, and of this host the copies beside. A chain in
// which something does not fit is listed with the problem, and the error is then of kind Integrity. No identity is needed.
func Chains(ctx context.Context, r *repo.Repo, k Keeper) ([]Chain, error) {
	const op = "list the evidence in"
	stored := map[string]map[int][]byte{}
	var strange []string
	for info, err := range r.Store.List(ctx, repo.EvidencePrefix) {
		if err != nil {
			return nil, repo.StoreError(op, r.Store, repo.EvidencePrefix, err)
		}
		host, number, err := repo.ParseEvidenceKey(info.Key)
		if err != nil {
			strange = append(strange, info.Key)
			continue
		}
		data, err := repo.ReadSized(ctx, r.Store, info.Key, info.Size, repo.MaxEvidence)
		if err != nil {
			return nil, repo.StoreError("read the evidence", r.Store, info.Key, err)
		}
		if stored[host] == nil {
			stored[host] = map[int][]byte{}
		}
		stored[host][number] = data
	}
	copies, waiting, err := k.held()
	if err != nil {
		return nil, err
	}
	if len(copies) > 0 && stored[k.Host] == nil {
		stored[k.Host] = map[int][]byte{}
	}
	var out []Chain
	var first error
	for _, host := range slices.Sorted(maps.Keys(stored)) {
		c := chainOf(host, r.Root.ID, stored[host])
		if host == k.Host {
			c.Own = k.Key != nil
			c.compare(k, copies, waiting)
		}
		out = append(out, c)
		if i := slices.IndexFunc(c.Pieces, func(p Piece) bool { return p.Problem != "" }); i >= 0 && first == nil {
			first = repo.Tampered("check the evidence", r.Store, c.Pieces[i].Key, errors.New(c.Pieces[i].Problem))
		}
	}
	if len(strange) > 0 && first == nil {
		first = repo.Tampered("check the evidence", r.Store, strange[0], errors.New("the name is no piece of evidence's"))
	}
	return out, first
}

// chainOf checks that the pieces of a host fit each other.
func chainOf(host, repository string, pieces map[int][]byte) Chain {
	c := Chain{Host: host}
	var key repo.PublicKey
	var previous []byte
	for n := 1; len(c.Pieces) < len(pieces) || n <= last(pieces); n++ {
		p := Piece{Key: repo.EvidenceKey(host, n)}
		data, ok := pieces[n]
		if !ok {
			p.Problem = "it is missing"
			previous = nil
			c.Pieces = append(c.Pieces, p)
			continue
		}
		p.SHA256 = repo.DocumentSum(data)
		link, e, err := parse(p.Key, data)
		switch {
		case err != nil:
			p.Problem = err.Error()
		case link.Repository != repository:
			p.Problem = "it is about another repository"
		case key != nil && !key.Equal(link.Key):
			p.Problem = "it is signed with another key than the ones before"
		case n == 1 && link.Previous != "":
			p.Problem = "it is not the first one, as its number says"
		case n > 1 && previous != nil && link.Previous != repo.DocumentSum(previous):
			p.Problem = "the one before is not the one that it was written after"
		}
		if err == nil {
			p.Evidence = e
			if key == nil {
				key = link.Key
			}
		}
		previous = data
		c.Pieces = append(c.Pieces, p)
	}
	c.Signer = Fingerprint(key)
	return c
}

func last(pieces map[int][]byte) int {
	n := 0
	for number := range pieces {
		n = max(n, number)
	}
	return n
}

// compare holds the store's chain against the copies of the host that wrote it.
func (c *Chain) compare(k Keeper, copies map[int][]byte, waiting map[int]bool) {
	if k.Key != nil && len(c.Pieces) > 0 {
		if own := Fingerprint(repo.PublicOf(k.Key)); c.Signer != own && c.Pieces[0].Problem == "" {
			c.Pieces[0].Problem = "it is signed with " + c.Signer + " and this host's key is " + own
		}
	}
	for n := 1; n <= last(copies); n++ {
		data, ok := copies[n]
		if !ok {
			continue // the copy was lost; the store has it, or its own gap tells
		}
		if n > len(c.Pieces) {
			p := Piece{Key: repo.EvidenceKey(c.Host, n), SHA256: repo.DocumentSum(data), Pending: waiting[n]}
			_, e, err := k.parse(n, data)
			switch {
			case err != nil:
				p.Problem = "the copy on this machine: " + err.Error()
			case !p.Pending:
				p.Problem = "it was stored, and the store does not have it any more"
			}
			p.Evidence = e
			c.Pieces = append(c.Pieces, p)
			continue
		}
		p := &c.Pieces[n-1]
		if p.SHA256 != repo.DocumentSum(data) && p.Problem == "" {
			p.Problem = "it is not the one that this machine wrote"
		}
	}
}

// append signs e as the next piece and keeps it here, waiting for the store.
func (k Keeper) append(e *Evidence) error {
	copies, _, err := k.held()
	if err != nil {
		return err
	}
	n := last(copies)
	e.Host, e.Number, e.Key, e.Format = k.Host, n+1, repo.PublicOf(k.Key), repo.Format
	if n > 0 {
		e.Previous = repo.DocumentSum(copies[n])
	}
	data, err := repo.SignEvidence(e, k.Key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.folder(), 0o750); err != nil {
		return stateError(k.folder(), err)
	}
	path := k.file(e.Number) + pending
	return stateError(path, atomicfile.WriteBytes(path, 0o640, data))
}

// store puts what waits into the store, oldest first, locked where the store has locks. What lies there under the same name
// must be the same.
func (k Keeper) store(ctx context.Context, st objstore.Store, now time.Time) error {
	copies, waiting, err := k.held()
	if err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(waiting)) {
		if !waiting[n] {
			continue
		}
		if err := k.put(ctx, st, n, copies[n], now.Add(repo.EvidenceLock)); err != nil {
			return err
		}
		if err := atomicfile.Rename(k.file(n)+pending, k.file(n)); err != nil {
			return stateError(k.file(n), err)
		}
	}
	return nil
}

func (k Keeper) put(ctx context.Context, st objstore.Store, n int, data []byte, until time.Time) error {
	const op = "store the evidence"
	key := repo.EvidenceKey(k.Host, n)
	_, err := st.Put(ctx, key, bytes.NewReader(data), int64(len(data)), objstore.PutOptions{IfAbsent: true, RetainUntil: until})
	if errors.Is(err, objstore.ErrUnsupported) {
		err = repo.Create(ctx, st, key, data)
	}
	if !errors.Is(err, objstore.ErrExists) {
		return repo.StoreError(op, st, key, err)
	}
	have, err := repo.ReadObject(ctx, st, key, repo.MaxEvidence)
	if err != nil {
		return repo.StoreError(op, st, key, err)
	}
	if !bytes.Equal(have, data) {
		return uerr.New(uerr.Integrity, op, st.String()+" "+key, errors.New("another piece has this name: another machine drills under the name "+k.Host+", or somebody tampered with the store"), "practicectl drill list; or drill under another name: --host NAME")
	}
	return nil
}

// catchUp brings the copies that this machine lost back from the store, once the chain there proves to be its own. Error
// kinds: Auth when the name belongs to another key, Integrity when the chain was tampered with, Unreachable.
func (k Keeper) catchUp(ctx context.Context, r *repo.Repo) error {
	chains, err := Chains(ctx, r, k)
	i := slices.IndexFunc(chains, func(c Chain) bool { return c.Host == k.Host })
	if i < 0 || len(chains[i].Pieces) == 0 {
		return err
	}
	c := chains[i]
	if own := Fingerprint(repo.PublicOf(k.Key)); c.Signer != own {
		return uerr.New(uerr.Auth, "add to the evidence of", k.Host, fmt.Errorf("the store has some that is signed with %s, and this machine's key is %s", c.Signer, own),
			"give that key with --key FILE, or drill under another name: --host NAME")
	}
	if !c.Sound() {
		return err
	}
	copies, _, held := k.held()
	if held != nil {
		return held
	}
	for n, p := range c.Pieces {
		if copies[n+1] != nil {
			continue
		}
		data, err := repo.ReadObject(ctx, r.Store, p.Key, repo.MaxEvidence)
		if err != nil {
			return repo.StoreError("read the evidence", r.Store, p.Key, err)
		}
		if err := os.MkdirAll(k.folder(), 0o750); err != nil {
			return stateError(k.folder(), err)
		}
		if err := atomicfile.WriteBytes(k.file(n+1), 0o640, data); err != nil {
			return stateError(k.file(n+1), err)
		}
	}
	return err
}

func stateError(path string, err error) error {
	if err == nil {
		return nil
	}
	return uerr.New(kindOfFile(err), "keep the evidence in", path, err, "make room, or run the drill below a --prefix that this account may write to")
}
