package pgcluster_test

import (
	"testing"

	"practicectl/internal/pgcluster"
)

func TestLSN(t *testing.T) {
	for text, want := range map[string]pgcluster.LSN{"0/3000060": 0x3000060, "1/0": 1 << 32, "FFFFFFFF/FFFFFFFF": 1<<64 - 1} {
		got, err := pgcluster.ParseLSN(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "/", "0/", "1", "0/100000000", "-1/0", "0/x", "0/0/0", "+1/0"} {
		if got, err := pgcluster.ParseLSN(text); err == nil {
			t.Errorf("%q became %s", text, got)
		}
	}
}

func TestWALNames(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   pgcluster.LSN
		size uint32
	}{
		{"000000010000000000000001", 0x1000000, 16 << 20},
		{"0000000100000001000000FF", 0x1FF000000, 16 << 20},
		{"000000010000000200000000", 0x200000000, 16 << 20},
		{"000000010000000200000003", 0x2C0000000, 1 << 30},
	} {
		if got := pgcluster.WALName(1, tc.at, tc.size); got != tc.name {
			t.Errorf("%s: got %s, want %s", tc.at, got, tc.name)
		}
		tli, at, err := pgcluster.ParseWALName(tc.name, tc.size)
		if err != nil || tli != 1 || at != tc.at {
			t.Errorf("%s: %d %s %v", tc.name, tli, at, err)
		}
	}
	for _, name := range []string{"", "00000001000000000000000", "00000001000000000000000g", "0000000100000000000000ff", "000000010000000000000100"} {
		if _, _, err := pgcluster.ParseWALName(name, 16<<20); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add("1\t0/3000000\tno recovery target specified\n\n2\t0/4000000\tbefore 2026-01-01\n")
	f.Add("# comment\n2 0/1\n1 0/0")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := pgcluster.ParseHistory(text)
		if err != nil {
			return
		}
		for i := 1; i < len(entries); i++ {
			if entries[i].Timeline <= entries[i-1].Timeline || entries[i].End < entries[i-1].End {
				t.Errorf("accepted a history that goes back: %+v", entries)
			}
		}
	})
}

func FuzzParseWALName(f *testing.F) {
	f.Add("000000010000000000000001", uint8(24))
	f.Fuzz(func(t *testing.T, name string, shift uint8) {
		size := uint32(1) << (20 + shift%11)
		if tli, at, err := pgcluster.ParseWALName(name, size); err == nil && pgcluster.WALName(tli, at, size) != name {
			t.Errorf("%s became %s", name, pgcluster.WALName(tli, at, size))
		}
	})
}
