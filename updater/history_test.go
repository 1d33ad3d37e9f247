package updater

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTransitionsSurviveTheJournal(t *testing.T) {
	want := Transition{Action: ActionUpdate, From: "1.0.0", To: "1.1.0-beta.2", SchemaFrom: 3, SchemaTo: 5, BackwardCompatible: true, Remark: "asked by Dr. Ü = all of us",
		Components: map[string]string{"server": "1.0.0", "practicectl": "1.0.0", "module-clinical": "1.0.1"}}
	got, err := fromParams(want.params())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if order := want.Names(); !slices.Equal(order, []string{"module-clinical", "server", "practicectl"}) {
		t.Errorf("order %v", order)
	}
	for _, key := range []string{"action", "from", "to", "components", "schema_from", "backward_compatible"} {
		m := want.params()
		m[key] = "?"
		if key == "from" || key == "to" {
			m[key] = ""
		}
		if _, err := fromParams(m); err == nil {
			t.Errorf("accepted a journal with a broken %s", key)
		}
	}
}

func TestFailedVersionsAreRememberedUntilTheySucceed(t *testing.T) {
	day := time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	entry := func(action, from, to, outcome, step string) Entry {
		return Entry{When: day, Outcome: outcome, Step: step, Transition: Transition{Action: action, From: from, To: to}}
	}
	failed := entry(ActionUpdate, "1.1.0", "1.2.0", "rolled back", stepProbe)
	cases := []struct {
		name    string
		history []Entry
		want    map[string]string
	}{
		{"probe failed", []Entry{failed}, map[string]string{"1.2.0": "failed on 2026-11-23 in step probe"}},
		{"later it worked", []Entry{failed, entry(ActionUpdate, "1.1.0", "1.2.0", "committed", "")}, map[string]string{}},
		{"interrupted", []Entry{entry(ActionUpdate, "1.1.0", "1.2.0", "rolled back", "")}, map[string]string{}},
		{"the disk was full", []Entry{entry(ActionUpdate, "1.1.0", "1.2.0", "rolled back", stepWayBack)}, map[string]string{}},
		{"rolled back by hand", []Entry{entry(ActionRollback, "1.2.0", "1.1.0", "committed", "")}, map[string]string{"1.2.0": "rolled back by hand on 2026-11-23"}},
		{"rollback failed", []Entry{entry(ActionRollback, "1.2.0", "1.1.0", "rolled back", stepProbe)}, map[string]string{}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, unwanted(c.history)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestTheDatabaseIsCopiedOnlyWhereTheOldVersionCouldNotLiveWithTheNewSchema(t *testing.T) {
	base := Transition{Action: ActionUpdate, Components: map[string]string{"server": "1.0.0"}, SchemaFrom: 1, SchemaTo: 2}
	compatible, same, client, back := base, base, base, base
	compatible.BackwardCompatible = true
	same.SchemaTo = 1
	client.Components = map[string]string{"client": "1.0.0"}
	back.Action = ActionRollback
	for _, c := range []struct {
		t    Transition
		want bool
	}{{base, true}, {compatible, false}, {same, false}, {client, false}, {back, false}} {
		if c.t.needsCopy() != c.want {
			t.Errorf("%+v: %v", c.t, !c.want)
		}
	}
}
