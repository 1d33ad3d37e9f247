package backup

import (
	"context"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
)

// Window is a stretch of the log of which every point can be restored; see [wal.Window].
type Window = wal.Window

// Windows tells which points in time can be restored, from the names of the objects and the headers of the snapshots. It needs no
// key. Error kinds: Auth, Unreachable.
func Windows(ctx context.Context, r *Repo, items []Item) ([]Window, error) {
	log, err := wal.Look(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	var headers []repo.Header
	for _, i := range items {
		if i.Snapshot != nil {
			headers = append(headers, *i.Snapshot)
		}
	}
	return log.Windows(headers), nil
}
