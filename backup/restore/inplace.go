package restore

import (
	"context"

	"practicectl/internal/progress"
)

func (p *Plan) runInPlace(ctx context.Context, o Options, rep progress.Reporter) (Report, error) {
	return Report{}, nil
}
