package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"practicectl/internal/atomicfile"
)

// maxRoots bounds a walk over root versions.
const maxRoots = 256

// newestRoot walks from the built-in root over the history of roots seen. go-tuf would start again from the built-in
// root at every run, so that a mirror which withholds a newer root could present metadata signed with a revoked key.
func (c *Client) newestRoot() ([]byte, *metadata.Metadata[metadata.RootType], error) {
	data := c.o.Root
	walk, err := trustedmetadata.New(data)
	if err != nil {
		return nil, nil, fmt.Errorf("built-in trusted root: %w", err)
	}
	for range maxRoots {
		next, err := os.ReadFile(c.rootFile(walk.Root.Signed.Version + 1))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if _, err := walk.UpdateRoot(next); err != nil {
			break // damaged or not from this chain: the source will be asked for it
		}
		data = next
	}
	return data, walk.Root, nil
}

// keepRoots stores the roots that were fetched and that continue the chain from known. It does so before anything
// else is believed or fails: a revocation once seen stays seen.
func (c *Client) keepRoots(known []byte, fetched map[string][]byte) error {
	walk, err := trustedmetadata.New(known)
	if err != nil {
		return err
	}
	for {
		version := walk.Root.Signed.Version + 1
		next, ok := fetched[rootName(version)]
		if !ok {
			return nil
		}
		if _, err := walk.UpdateRoot(next); err != nil {
			return nil // go-tuf has refused it too and says so
		}
		if err := atomicfile.WriteBytes(c.rootFile(version), 0o644, next); err != nil {
			return err
		}
	}
}

func rootName(version int64) string { return strconv.FormatInt(version, 10) + ".root.json" }

func (c *Client) rootFile(version int64) string {
	return filepath.Join(c.rootsDir(), rootName(version))
}

// foreign adds to a refusal that the source is another vendor's altogether: its root of our number is not ours. This
// only helps a person; nothing is decided by it.
func (c *Client) foreign(ctx context.Context, refused error) error {
	if !errors.Is(refused, &metadata.ErrUnsignedMetadata{}) {
		return refused
	}
	own, root, err := c.newestRoot()
	if err != nil {
		return refused
	}
	theirs, err := readAll(ctx, c.src, "metadata/"+rootName(root.Signed.Version), 512_000)
	if err != nil || bytes.Equal(own, theirs) {
		return refused
	}
	return fmt.Errorf("%w; the source's root is not the one that this program was built with: it may be another vendor's", refused)
}

// RootInfo describes a root for people to compare.
type RootInfo struct {
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
	SHA256  string    `json:"sha256"` // of the file
	Words   string    `json:"words"`  // its first 96 bits, to read out on the telephone
}

// Root describes the newest root that this client trusts.
func (c *Client) Root() (RootInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	data, root, err := c.newestRoot()
	if err != nil {
		return RootInfo{}, classify("read the trusted root", c.src.String(), err)
	}
	sum := sha256.Sum256(data)
	return RootInfo{Version: root.Signed.Version, Expires: root.Signed.Expires, SHA256: hex.EncodeToString(sum[:]), Words: Words(sum[:12])}, nil
}

// Words spells bytes as pronounceable words of five letters, two bytes each (proquints, arXiv:0901.4016). An odd last
// byte is left out.
func Words(b []byte) string {
	const consonants, vowels = "bdfghjklmnprstvz", "aiou"
	var words []string
	for ; len(b) >= 2; b = b[2:] {
		n := uint(b[0])<<8 | uint(b[1])
		words = append(words, string([]byte{consonants[n>>12&15], vowels[n>>10&3], consonants[n>>6&15], vowels[n>>4&3], consonants[n&15]}))
	}
	return strings.Join(words, " ")
}
