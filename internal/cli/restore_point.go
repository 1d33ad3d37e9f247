package cli

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// pointFlags name the moment to restore.
type pointFlags struct {
	toTime, toLSN, toName string
	toLatest              bool
	onTimeline            uint32
}

func (p *pointFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&p.toTime, "to-time", "", "replay the log to this moment, such as 2026-11-25T14:30:00+01:00; what was committed then is included")
	f.StringVar(&p.toLSN, "to-lsn", "", "replay the log up to this position, such as 0/3000060; what begins there is left out")
	f.StringVar(&p.toName, "to-name", "", "replay the log to a restore point (pg_create_restore_point)")
	f.BoolVar(&p.toLatest, "to-latest", false, "replay all log that there is")
	f.Uint32Var(&p.onTimeline, "timeline", 0, "timeline on which that moment lies; 0: the newest that has it")
}

// point is the moment to restore; nil: the end of the snapshot.
func (p pointFlags) point(r *run) (*backup.Point, error) {
	to := backup.Point{Name: p.toName, Latest: p.toLatest, Timeline: p.onTimeline}
	given := 0
	for _, set := range []bool{p.toTime != "", p.toLSN != "", p.toName != "", p.toLatest} {
		if set {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, usageError(r.cmd, errors.New("--to-time, --to-lsn, --to-name and --to-latest exclude each other"))
	case given == 0 && p.onTimeline != 0:
		return nil, usageError(r.cmd, errors.New("--timeline goes with --to-time, --to-lsn, --to-name or --to-latest"))
	case given == 0:
		return nil, nil
	}
	var err error
	if p.toTime != "" {
		if to.Time, err = time.Parse(time.RFC3339, p.toTime); err != nil {
			return nil, uerr.New(uerr.Usage, "read --to-time", p.toTime, errors.New("it is no time with a time zone"), "write it like this: --to-time "+r.now().In(r.location()).Format(time.RFC3339))
		}
	}
	if p.toLSN != "" {
		if to.LSN, err = pgcluster.ParseLSN(p.toLSN); err != nil || to.LSN == 0 {
			return nil, uerr.New(uerr.Usage, "read --to-lsn", p.toLSN, errors.Join(err, errors.New("it is no position in a log")), "practicectl backup list shows positions")
		}
	}
	return &to, nil
}
