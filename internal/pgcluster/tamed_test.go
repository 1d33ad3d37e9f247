package pgcluster

import "testing"

func TestUntamedTakesOnlyTheBlockAway(t *testing.T) {
	for conf, want := range map[string]string{
		"":          "",
		"a = '1'\n": "a = '1'\n",
		"a = '1'\n" + TameBegin + "\narchive_mode = 'off'\n" + TameEnd + "\nb = '2'": "a = '1'\nb = '2'",
		TameBegin + "\r\nx = '1'\r\n" + TameEnd + "\r\ny = '2'\r\n":                  "y = '2'\r\n",
		TameBegin + "\ncut off":            "",
		" " + TameBegin + "\nmine = '1'\n": " " + TameBegin + "\nmine = '1'\n",
	} {
		if got := Untamed(conf); got != want {
			t.Errorf("%q: %q, want %q", conf, got, want)
		}
	}
}
