package updater

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"practicectl/release"
)

// The actions of a [Transition].
const (
	ActionUpdate   = "update"
	ActionRollback = "rollback"
)

// Transition is one switch of all components from their versions to another. It is what the journal keeps, so that any
// later process, of the old version or the new one, can finish or undo it.
type Transition struct {
	Action     string            `json:"action"`
	From       string            `json:"from"` // product version before
	To         string            `json:"to"`
	Components map[string]string `json:"components"` // name → version before
	// The schema of the database before and after; equal when nothing is migrated.
	SchemaFrom int `json:"schema_from"`
	SchemaTo   int `json:"schema_to"`
	// BackwardCompatible: the version before runs on the schema of the version after, and knows that it may.
	BackwardCompatible bool   `json:"backward_compatible"`
	Remark             string `json:"remark,omitempty"` // why a rule was set aside, in the administrator's words
}

// Names returns the components in the order in which they switch. practicectl comes last: a crash in the middle is then
// recovered by the program that began.
func (t Transition) Names() []string {
	all := slices.Sorted(maps.Keys(t.Components))
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

func rank(component string) int {
	if component == release.Practicectl {
		return 1
	}
	return 0
}

func (t Transition) hasServer() bool { return t.Components[release.Server] != "" }

// migrates reports whether the database is changed.
func (t Transition) migrates() bool { return t.Action == ActionUpdate && t.hasServer() }

// needsCopy reports whether going back needs the data as they were: the old version could not live with the new schema.
func (t Transition) needsCopy() bool {
	return t.migrates() && !t.BackwardCompatible && t.SchemaTo != t.SchemaFrom
}

// params writes t for the journal.
func (t Transition) params() map[string]string {
	pairs := make([]string, 0, len(t.Components))
	for _, name := range t.Names() {
		pairs = append(pairs, name+"="+t.Components[name])
	}
	return map[string]string{
		"action": t.Action, "from": t.From, "to": t.To, "components": strings.Join(pairs, " "),
		"schema_from": strconv.Itoa(t.SchemaFrom), "schema_to": strconv.Itoa(t.SchemaTo),
		"backward_compatible": strconv.FormatBool(t.BackwardCompatible), "remark": t.Remark,
	}
}

// fromParams reads what params wrote.
func fromParams(m map[string]string) (Transition, error) {
	from, err1 := strconv.Atoi(m["schema_from"])
	to, err2 := strconv.Atoi(m["schema_to"])
	compatible, err3 := strconv.ParseBool(m["backward_compatible"])
	t := Transition{Action: m["action"], From: m["from"], To: m["to"], Components: map[string]string{},
		SchemaFrom: from, SchemaTo: to, BackwardCompatible: compatible, Remark: m["remark"]}
	for _, pair := range strings.Fields(m["components"]) {
		name, version, ok := strings.Cut(pair, "=")
		if !ok || version == "" {
			return t, errors.New("a component in the journal has no version")
		}
		t.Components[name] = version
	}
	if t.From == "" || t.To == "" || len(t.Components) == 0 || (t.Action != ActionUpdate && t.Action != ActionRollback) {
		return t, errors.New("the journal does not say what was switched")
	}
	return t, errors.Join(err1, err2, err3)
}
