package pagemap

import (
	"encoding/binary"
	"math/bits"

	"practicectl/backup/repo"
)

// frameSlots has a bit for each page that a writer puts into a frame.
type frameSlots uint8

const _ = frameSlots(1) << (repo.PageFrameSize/repo.PageSize - 1) // so many fit

// InUse counts the plaintext bytes in each pack of [Map.Packs] that the snapshot refers to, each page and chunk once. It reads
// the runs and not the rows, and does not prove them: of the answer only the choice of packs to be stored anew depends.
func (m *Map) InUse() ([]int64, error) {
	used := make([]int64, len(m.Packs))
	for i, p := range m.Packs {
		used[i] = p.Chunks
	}
	seen := make([]frameSlots, len(m.Frames))
	var raw []byte
	for _, f := range m.files {
		for i := range f.Sections {
			s := &f.Sections[i]
			raw = append(raw[:0], make([]byte, int(s.Runs)*runSize)...)
			if _, err := m.f.ReadAt(raw, s.Offset+int64(s.Pages)*rowSize); err != nil {
				return nil, err
			}
			for b := raw; len(b) > 0; b = b[runSize:] {
				run := Run{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])}
				if run.Frame == ZeroFrame {
					continue
				}
				if int(run.Frame) >= len(m.Frames) || int(run.Slot)+int(run.Count) > repo.PageFrameSize/repo.PageSize || int(m.Frames[run.Frame].Pack) >= len(m.Packs) {
					return nil, ErrDamaged
				}
				slots := frameSlots(1<<run.Count-1) << run.Slot &^ seen[run.Frame]
				seen[run.Frame] |= slots
				used[m.Frames[run.Frame].Pack] += int64(bits.OnesCount8(uint8(slots))) * repo.PageSize
			}
		}
	}
	for i, p := range m.Packs {
		used[i] = min(used[i], p.Content) // two numbers of frames may stand for one frame
	}
	return used, nil
}
