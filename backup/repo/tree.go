package repo

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Kind says what an entry of a tree is.
type Kind string

// The kinds of entries.
const (
	Dir   Kind = "dir"
	Link  Kind = "link"
	Pages Kind = "pages" // a file of whole pages
	File  Kind = "file"  // any other file, stored as chunks
)

// MaxMapPages is the most pages that one page map describes: 128 MiB, so that the worst map fits into one chunk and a
// changed page costs an eighth of the map of a 1 GiB segment.
const MaxMapPages = 16384

// maxRun bounds the pages of one run: only runs of zero pages come near.
const maxRun = 1 << 32

// MaxInlineRuns is the number of runs up to which a file's page map stands in its entry.
const MaxInlineRuns = 16

// Ref is where a chunk lies: index of the pack in the table beside it, frame, offset in the frame's plaintext, length.
type Ref [4]int64

// Run is consecutive pages: index of the pack in the table beside it (ZeroPack: all-zero pages), frame, first slot, count.
type Run [4]int64

// ZeroPack in a Run means all-zero pages, which are stored nowhere.
const ZeroPack = -1

// Entry is one file, directory or symbolic link.
type Entry struct {
	Path   string `json:"path"` // slash-separated, relative to the tree's root
	Kind   Kind   `json:"kind"`
	Mode   uint32 `json:"mode"`             // permission bits
	Size   int64  `json:"size,omitempty"`   // bytes
	MTime  int64  `json:"mtime,omitempty"`  // Unix seconds; 0: of no interest
	Target string `json:"target,omitempty"` // of a link
	Digest *ID    `json:"digest,omitempty"` // over the ids of its pages or chunks, in order
	Runs   []Run  `json:"runs,omitempty"`   // of a short page map
	Maps   []Ref  `json:"maps,omitempty"`   // chunks that hold the page map, MaxMapPages pages each
	Chunks []Ref  `json:"chunks,omitempty"`
}

// Block is a run of a tree's entries. It is stored as a chunk, so that an unchanged block is not uploaded again.
type Block struct {
	Packs   []PackID `json:"packs"`
	Entries []Entry  `json:"entries"`
}

// PageMap tells where up to MaxMapPages consecutive pages of a file lie. It is stored as a chunk.
type PageMap struct {
	Packs []PackID `json:"packs"`
	Runs  []Run    `json:"runs"`
}

// ParseBlock reads a block and refuses entries that would lead out of the tree.
func ParseBlock(data []byte) (Block, error) {
	var b Block
	if err := json.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("a block of the tree cannot be read: %w", err)
	}
	for _, e := range b.Entries {
		if err := e.check(len(b.Packs)); err != nil {
			return b, fmt.Errorf("a block of the tree is malformed: %w", err)
		}
	}
	return b, nil
}

// ParsePageMap reads a page map.
func ParsePageMap(data []byte) (PageMap, error) {
	var m PageMap
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("a page map cannot be read: %w", err)
	}
	n, err := checkRuns(m.Runs, len(m.Packs))
	if err == nil && n > MaxMapPages {
		err = errors.New("it describes more pages than a segment has")
	}
	if err != nil {
		return m, fmt.Errorf("a page map is malformed: %w", err)
	}
	return m, nil
}

var errEntry = errors.New("an entry is out of bounds")

// SafePath tells whether p stays below the root of a tree.
func SafePath(p string) bool {
	return p != "" && p != "." && path.Clean(p) == p && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../") && !strings.ContainsAny(p, "\x00\\")
}

func (e Entry) check(packs int) error {
	if !SafePath(e.Path) {
		return fmt.Errorf("%w: unsafe path %q", errEntry, clip(e.Path))
	}
	if e.Size < 0 || e.Mode > 0o7777 {
		return fmt.Errorf("%w: size or mode", errEntry)
	}
	switch e.Kind {
	case Dir:
		return nil
	case Link:
		if e.Target == "" {
			return fmt.Errorf("%w: a link to nowhere", errEntry)
		}
		return nil
	case Pages:
		n, err := checkRuns(e.Runs, packs)
		if err != nil {
			return err
		}
		if e.Size%PageSize != 0 || e.Digest == nil || len(e.Maps) == 0 && n*PageSize != e.Size || (n+int64(len(e.Maps))*MaxMapPages)*PageSize < e.Size {
			return fmt.Errorf("%w: pages", errEntry)
		}
		return checkRefs(e.Maps, packs)
	case File:
		if e.Digest == nil {
			return fmt.Errorf("%w: no digest", errEntry)
		}
		return checkRefs(e.Chunks, packs)
	}
	return fmt.Errorf("%w: kind %q", errEntry, clip(string(e.Kind)))
}

func checkRefs(refs []Ref, packs int) error {
	for _, r := range refs {
		if r[0] < 0 || r[0] >= int64(packs) || r[1] < 0 || r[1] >= MaxPack || r[2] < 0 || r[3] < 0 || r[2] > MaxFrame || r[3] > MaxFrame || r[2]+r[3] > MaxFrame {
			return errEntry
		}
	}
	return nil
}

// checkRuns returns the number of pages.
func checkRuns(runs []Run, packs int) (pages int64, err error) {
	for _, r := range runs {
		if r[3] < 1 || r[3] > maxRun {
			return 0, errEntry
		}
		if pages += r[3]; r[0] == ZeroPack {
			continue
		}
		if r[0] < 0 || r[0] >= int64(packs) || r[1] < 0 || r[1] >= MaxPack || r[2] < 0 || r[2] >= MaxFramePages || r[2]+r[3] > MaxFramePages {
			return 0, errEntry
		}
	}
	return pages, nil
}
