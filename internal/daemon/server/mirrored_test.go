package server

import (
	"encoding/json"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/testenv"
)

// TestM14_T27_ReadyzTellsHowFarTheLogIsMirrored: the position comes with the slot of a stream, and only with it.
func TestM14_T27_ReadyzTellsHowFarTheLogIsMirrored(t *testing.T) {
	c := newClinic(t, testenv.PGMajors[0])
	if code, _, errs := c.command(t, "migrate"); code != 0 {
		t.Fatal(errs)
	}
	c.serve(t)
	ask := func() (answer struct {
		OK  bool `json:"ok"`
		Log struct {
			Timeline string `json:"timeline"`
			Written  string `json:"written_up_to"`
			Mirrored string `json:"mirrored_up_to"`
		} `json:"log"`
	}) {
		t.Helper()
		if err := json.Unmarshal([]byte(c.get(t, "/readyz")), &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if a := ask(); !a.OK || a.Log.Timeline != "00000001" || a.Log.Written == "" || a.Log.Mirrored != "" {
		t.Errorf("without a stream: %+v", a)
	}
	slot, err := pgcluster.EnsureSlot(t.Context(), c.pg.ConnString(pgcluster.RoleBackup, pgcluster.DefaultDatabase), "practice_stream_test")
	if err != nil {
		t.Fatal(err)
	}
	if a := ask(); a.Log.Mirrored != slot.Held.String() {
		t.Errorf("with a slot that holds from %s on: %+v", slot.Held, a)
	}
}
