package restore

import (
	"context"
	"errors"

	"practicectl/backup/repo"
	"practicectl/backup/wal"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
)

// nowhere is the sink of a verification.
type nowhere struct{}

func (nowhere) open(*file) (output, error) { return nowhere{}, nil }

// Close implements output.
func (nowhere) Close() error { return nil }

// WriteAt drops the bytes.
func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

// Check reads everything that the plan would lay down, proves it, and drops it.
func (p *Plan) Check(ctx context.Context, task progress.Task) error {
	if err := p.fetch(ctx, nowhere{}, task, everything); err != nil {
		return err
	}
	if p.body.Database == nil {
		return nil
	}
	stored := map[string]repo.WALObject{}
	for _, o := range p.Snapshot.WAL {
		stored[o.Key] = o
	}
	for _, piece := range p.body.Database.WAL {
		start, errStart := pgcluster.ParseLSN(piece.Start)
		end, errEnd := pgcluster.ParseLSN(piece.End)
		plain, err := wal.Read(ctx, p.repo, stored[piece.Key])
		if err != nil {
			return err
		}
		if err := errors.Join(errStart, errEnd); err != nil || end != start+pgcluster.LSN(len(plain)) {
			return repo.Tampered("read the log in", p.repo.Store, piece.Key, errors.New("it is not as long as the snapshot says"))
		}
	}
	return nil
}
