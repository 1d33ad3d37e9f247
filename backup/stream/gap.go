package stream

import (
	"strconv"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
)

func (g Gap) key() string { return repo.GapKey(g.System, g.Timeline, uint64(g.From), uint64(g.To)) }

// parseGapKey takes the name of a gap's record apart.
func parseGapKey(key string) (g Gap, ok bool) {
	m := repo.GapForm.FindStringSubmatch(key)
	if m == nil {
		return g, false
	}
	system, err := strconv.ParseUint(m[1], 10, 64)
	timeline, _ := strconv.ParseUint(m[2], 16, 32) // eight digits
	from, _ := strconv.ParseUint(m[3], 16, 64)     // sixteen digits
	to, _ := strconv.ParseUint(m[4], 16, 64)
	return Gap{System: system, Timeline: uint32(timeline), From: pgcluster.LSN(from), To: pgcluster.LSN(to)}, err == nil
}

// miss notes that log is missing from a position on, and where it goes on; to.at is 0 while it does not. mu is held. What is
// noted is durable when it returns.
func (s *streamer) miss(from pgcluster.LSN, to position, reason string) error {
	g := Gap{System: s.st.System, Timeline: to.timeline, From: from, To: to.at, Noticed: s.o.Now().UTC().Truncate(time.Second), Reason: reason}
	if n := len(s.st.Gaps); n > 0 && s.st.Gaps[n-1].To == 0 {
		open := &s.st.Gaps[n-1]
		open.Timeline, open.To = g.Timeline, g.To
		g = *open
	} else {
		s.st.Gaps = append(s.st.Gaps, g)
	}
	if g.To != 0 {
		record, err := repo.EncodeGap(repo.Gap{Format: repo.Format, Repository: s.repo.Root.ID, Host: s.repo.Keys.Pin.Host, System: g.System, Timeline: g.Timeline,
			From: g.From.String(), To: g.To.String(), Noticed: g.Noticed, Reason: g.Reason}, s.repo.Keys.Signing)
		if err != nil {
			return err
		}
		s.queue = append(s.queue, &parcel{gap: &g, plain: record, since: s.o.Now()})
		s.poke()
	}
	s.warn("log is missing in the repository from %s on: %s. The next snapshot makes it good: practicectl backup run", g.From, g.Reason)
	return s.save()
}

func (s *streamer) warn(format string, args ...any) {
	if s.o.Warn != nil {
		s.o.Warn(format, args...)
	}
}
