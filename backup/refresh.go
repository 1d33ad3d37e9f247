package backup

import (
	"cmp"
	"slices"

	"practicectl/backup/repo"
)

// Nobody can repack what is stored: the store and the host cannot read it. But the host has what is in use of it, and stores
// that once more when it is less than half of its pack. The rest of the pack is garbage as soon as no older snapshot needs it.

// refreshFloor and refreshPart limit what a run stores anew: so many bytes, or one in so many of the snapshot if that is more.
const (
	refreshFloor = 64 << 20
	refreshPart  = 50
)

// Refreshed says which packs a run retired because less than half of their content was in use.
type Refreshed struct {
	Packs int   `json:"packs"`
	Bytes int64 `json:"bytes"` // of these packs that were in use, and were stored again
}

// chooseRefresh chooses the packs to be retired, those of which the least is in use first. Packs that earlier runs retired stay
// so while they are stored: else content that lies in two packs would be found in the old one again.
func (j *job) chooseRefresh(absent map[repo.PackID]bool) error {
	j.retired = map[repo.PackID]bool{}
	if j.prior == nil {
		return nil
	}
	for _, id := range j.prior.Retired {
		j.retired[id] = true
	}
	used, err := j.prior.InUse()
	if err != nil {
		j.p.Warn("the page map of the last snapshot: %v. No pack is stored anew this time", err)
		return nil
	}
	type candidate struct {
		id    repo.PackID
		share float64 // of the content that is in use
		bytes int64   // of the pack that this comes to
	}
	var all []candidate
	for i, p := range j.prior.Packs {
		if p.Content == 0 || 2*used[i] >= p.Content || absent[p.ID] || j.retired[p.ID] {
			continue
		}
		share := float64(used[i]) / float64(p.Content)
		all = append(all, candidate{p.ID, share, int64(share * float64(p.Size))})
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.share, b.share), slices.Compare(a.id[:], b.id[:]))
	})
	most := j.o.Refresh
	if most == 0 {
		most = max(refreshFloor, j.parent.Bytes/refreshPart)
	}
	for _, c := range all {
		if j.refreshed.Bytes+c.bytes > most {
			break
		}
		j.retired[c.id] = true
		j.refreshed.Packs++
		j.refreshed.Bytes += c.bytes
	}
	return nil
}
