package wal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"practicectl/backup/repo"
	"practicectl/internal/pgcluster"
)

// stored makes the catalogue of stretches "timeline start end", in units of 1 MiB, and of branches.
func stored(stretches [][3]uint64, branches ...Branch) Catalogue {
	var c Catalogue
	for i, s := range stretches {
		f := Found{Stretch: Stretch{7, uint32(s[0]), pgcluster.LSN(s[1] << 20), pgcluster.LSN(s[2] << 20)}, Modified: time.Unix(int64(1000+i), 0)}
		f.Key = f.Stretch.Key(Mark{1, repo.ID{byte(i)}})
		c.Stretches = append(c.Stretches, f)
	}
	for _, b := range branches {
		b.System, b.At = 7, b.At<<20
		c.Branches = append(c.Branches, FoundBranch{Branch: b})
	}
	return c
}

func header(timeline uint32, start, stop uint64) repo.Header {
	lsn := func(n uint64) string { return pgcluster.LSN(n << 20).String() }
	return repo.Header{Database: &repo.DatabaseFacts{System: 7, Timeline: timeline, Start: lsn(start), Stop: lsn(stop)}}
}

func TestO5_WindowsAreWhatSnapshotAndLogReach(t *testing.T) {
	for name, c := range map[string]struct {
		log       Catalogue
		snapshots []repo.Header
		want      []string
	}{
		"a snapshot alone":                  {stored([][3]uint64{{1, 16, 20}}), []repo.Header{header(1, 18, 20)}, []string{"1: 20-20"}},
		"log without a snapshot":            {stored([][3]uint64{{1, 16, 32}}), nil, nil},
		"a snapshot whose log is not there": {stored([][3]uint64{{1, 19, 32}}), []repo.Header{header(1, 18, 20)}, nil},
		"log goes on after it":              {stored([][3]uint64{{1, 16, 20}, {1, 20, 21}, {1, 21, 32}, {1, 32, 48}}), []repo.Header{header(1, 18, 20)}, []string{"1: 20-48"}},
		"pieces of other cuts overlap":      {stored([][3]uint64{{1, 16, 20}, {1, 16, 18}, {1, 18, 23}, {1, 22, 32}}), []repo.Header{header(1, 18, 20)}, []string{"1: 20-32"}},
		"two snapshots in one window":       {stored([][3]uint64{{1, 16, 32}, {1, 32, 48}}), []repo.Header{header(1, 18, 20), header(1, 34, 35)}, []string{"1: 20-48"}},
		"a gap, closed by a snapshot": {stored([][3]uint64{{1, 16, 32}, {1, 48, 54}, {1, 54, 64}}), []repo.Header{header(1, 18, 20), header(1, 50, 51)},
			[]string{"1: 20-32", "1: 51-64"}},
		"a gap inside a snapshot's own log": {stored([][3]uint64{{1, 16, 18}, {1, 19, 32}}), []repo.Header{header(1, 17, 20)}, nil},
		"on through a promotion": {stored([][3]uint64{{1, 16, 32}, {1, 32, 36}, {2, 32, 48}}, Branch{Timeline: 2, Parent: 1, At: 35}), []repo.Header{header(1, 18, 20)},
			[]string{"1: 20-36", "2: 35-48"}},
		"a branch whose parent is not restorable there": {stored([][3]uint64{{1, 16, 32}, {2, 32, 48}}, Branch{Timeline: 2, Parent: 1, At: 35}), []repo.Header{header(1, 18, 20)},
			[]string{"1: 20-32"}},
		"a branch without log at its beginning": {stored([][3]uint64{{1, 16, 36}, {2, 36, 48}, {2, 48, 64}}, Branch{Timeline: 2, Parent: 1, At: 35}), []repo.Header{header(1, 18, 20), header(2, 49, 50)},
			[]string{"1: 20-36", "2: 50-64"}},
		"two restored copies": {stored([][3]uint64{{1, 16, 32}, {2, 16, 30}, {3, 16, 40}}, Branch{Timeline: 2, Parent: 1, At: 21}, Branch{Timeline: 3, Parent: 1, At: 22}),
			[]repo.Header{header(1, 18, 20)}, []string{"1: 20-32", "2: 21-30", "3: 22-40"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range c.log.Windows(c.snapshots) {
				got = append(got, fmt.Sprintf("%d: %d-%d", w.Timeline, w.From>>20, w.To>>20))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestNamesOfLogAreReadAsTheyAreWritten(t *testing.T) {
	s := Stretch{System: 1<<64 - 1, Timeline: 0xA1, Start: 0x5_0A00_0000, End: 0x5_0A10_0010}
	id := Mark{12, repo.ID{1, 2, 255}}
	if got, gotID, ok := ParseKey(s.Key(id)); !ok || got != s || gotID != id {
		t.Errorf("%s: %+v, %v", s.Key(id), got, ok)
	}
	b := Branch{System: 9, Timeline: 3, Parent: 1, At: 0x5_0A00_0028}
	if got, gotID, ok := ParseBranchKey(b.Key(id)); !ok || got != b || gotID != id {
		t.Errorf("%s: %+v, %v", b.Key(id), got, ok)
	}
	if got := s.around(); got != "w/18446744073709551615/000000A1/000000050A" {
		t.Errorf("the names of a unit begin with %s", got)
	}
	for _, key := range []string{
		"", "w/1/00000001", "w/x/00000001/0000000000000000-0000000000000001-1-00000000000000000000000000000000",
		"w/99999999999999999999/00000001/0000000000000000-0000000000000001-1-00000000000000000000000000000000", // no 64 bits
		"w/1/00000000/0000000000000000-0000000000000001-1-00000000000000000000000000000000",                    // no timeline
		"w/1/00000001/0000000000000001-0000000000000001-1-00000000000000000000000000000000",                    // empty
		"w/1/00000001/0000000000000000-0000000001000001-1-00000000000000000000000000000000",                    // larger than any of ours
		"w/1/00000001/history-00000001-0000000000000001-1-00000000000000000000000000000000",                    // its own parent
		"w/1/00000001/0000000000000000-0000000000000001-00000000000000000000000000000000",                      // no epoch
	} {
		_, _, stretch := ParseKey(key)
		_, _, branch := ParseBranchKey(key)
		if stretch || branch {
			t.Errorf("%q was taken", key)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(Stretch{System: 1, Timeline: 1, Start: 1, End: 2}.Key(Mark{Epoch: 1}))
	f.Add(Branch{System: 1, Timeline: 2, Parent: 1, At: 2}.Key(Mark{Epoch: 1}))
	f.Fuzz(func(t *testing.T, key string) {
		if s, id, ok := ParseKey(key); ok && s.Key(id) != key && key[2] != '0' {
			t.Errorf("%q is written %q", key, s.Key(id))
		}
		if b, id, ok := ParseBranchKey(key); ok && b.Key(id) != key && key[2] != '0' {
			t.Errorf("%q is written %q", key, b.Key(id))
		}
	})
}
