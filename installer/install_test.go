//go:build linux

package installer

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"practicectl/internal/pgcluster"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
	"practicectl/release"
)

func TestO1_InstallsADatabaseAndServerOnABareFolder(t *testing.T) {
	c := newClinic(t)
	i := New(c.Options)
	plan, err := i.Plan(t.Context(), c.desired)
	if err != nil || plan.Changes() == 0 || plan.Digest == "" {
		t.Fatalf("%+v %v", plan, err)
	}
	if _, err := i.Install(t.Context(), c.desired, "not this plan"); uerr.KindOf(err) != uerr.Precond {
		t.Fatal("another plan's digest was taken:", err)
	}
	rep, err := i.Install(t.Context(), c.desired, plan.Digest)
	if err != nil {
		c.logs(t)
		t.Fatal(err)
	}
	if rep.Outcome != "committed" || rep.Changes != len(plan.Steps) || len(rep.CAFingerprint) != 64 || rep.URL != c.desired.URL {
		t.Fatalf("%+v", rep)
	}
	control, err := pgcluster.ReadControl(c.Layout.PGData())
	if err != nil || control.DataChecksums == 0 {
		t.Fatalf("checksums are off: %+v %v", control, err)
	}
	r, err := ReadReceipt(c.Layout.Receipts(), release.Server)
	if err != nil || r.Version != "1.0.0" || r.Services[0] != svc.Server || !r.Asked || r.Ports["https"] == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err = ReadReceipt(c.Layout.Receipts(), release.Postgres); err != nil || r.Provider != pgcluster.ProviderSystem || r.Dir != c.desired.PGBin {
		t.Fatalf("%+v %v", r, err)
	}
	for _, key := range []string{CAKeyFile, TLSKeyFile} {
		if info, err := os.Stat(filepath.Join(c.Layout.Cred(), key)); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatal(key, info, err)
		}
	}
	if f, err := i.Verify(t.Context(), nil); err != nil {
		t.Fatal(f, err)
	}

	// The second run changes nothing, not even a time stamp, and asks nobody.
	before := c.tree(t)
	source := c.Source
	c.Source = unplugged{}
	again := c.install(t)
	if again.Changes != 0 || again.Outcome != "committed" {
		t.Fatalf("second run: %+v", again)
	}
	if after := c.tree(t); after != before {
		t.Fatalf("second run changed something:\n%s\n%s", before, after)
	}

	// A changed file is found by verify and put right by install.
	c.Source = source
	program := filepath.Join(c.Layout.Component(release.Server), "1.0.0", "bin", "practice-server")
	if err := errors.Join(os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755), os.WriteFile(program+".extra", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	f, err := i.Verify(t.Context(), []string{release.Server})
	if uerr.KindOf(err) != uerr.Integrity || len(f) != 1 || !strings.Contains(f[0].Problems[0], "practice-server") {
		t.Fatal(f, err)
	}
	if again = c.install(t); again.Changes == 0 {
		t.Fatalf("repair: %+v", again)
	}
	if f, err := i.Verify(t.Context(), nil); err != nil {
		t.Fatal(f, err)
	}

	// What the server reads at its start makes it start again.
	st, err := c.Services.Status(t.Context(), svc.Server)
	if err != nil {
		t.Fatal(err)
	}
	c.desired.Practice.Name = "Praxis Huber"
	c.install(t)
	if now, err := c.Services.Status(t.Context(), svc.Server); err != nil || now.PID == st.PID {
		t.Fatal("the server still has the old name", err)
	}
}

// unplugged is a source that must not be asked.
type unplugged struct{ Source }

func TestO2_OnlyChosenModulesAreOnDiskAndCanComeAndGo(t *testing.T) {
	c := newClinic(t)
	c.desired.Profile, c.desired.Modules = ProfileWorkstation, []string{"clinical"}
	rep := c.install(t)
	var names []string
	for _, p := range rep.Components {
		names = append(names, p.Name)
	}
	// clinical requires frontdesk, which nobody named.
	if want := []string{"client", "module-frontdesk", "module-clinical", "practicectl"}; !slices.Equal(names, want) {
		t.Fatal(names)
	}
	for name, want := range map[string]bool{"module-accounting": false, "server": false, "postgresql": false, "module-frontdesk": true} {
		if _, err := os.Stat(c.Layout.Component(name)); (err == nil) != want {
			t.Fatal(name, err)
		}
	}
	i := New(c.Options)
	kept := filepath.Join(c.Layout.Component(release.Client), "1.0.0", "bin", "practice-client")
	before, err := os.Stat(kept)
	if err != nil {
		t.Fatal(err)
	}
	c.desired.Modules = []string{"clinical", "accounting"}
	if rep = c.install(t); rep.Changes == 0 {
		t.Fatal("nothing added")
	}
	if after, err := os.Stat(kept); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Fatal("the client was installed again", err)
	}

	_, err = i.Remove(t.Context(), c.desired, []string{"module-frontdesk"})
	if uerr.KindOf(err) != uerr.Precond || !strings.Contains(err.Error(), "module-clinical → module-frontdesk") {
		t.Fatal(err)
	}
	gone, err := i.Remove(t.Context(), c.desired, []string{"module-clinical"})
	if err != nil || !slices.Equal(gone, []string{"module-clinical", "module-frontdesk"}) {
		t.Fatal("what only clinical required stays:", gone, err)
	}
	for _, name := range gone {
		if _, err := os.Stat(c.Layout.Component(name)); err == nil {
			t.Fatal(name + " is still on disk")
		}
	}
	c.desired.Modules = []string{"accounting"}
	if again := c.install(t); again.Changes != 0 {
		t.Fatalf("%+v", again)
	}
	if _, err := i.Remove(t.Context(), c.desired, []string{release.Practicectl}); uerr.KindOf(err) != uerr.Precond {
		t.Fatal(err)
	}
	if _, err := i.Remove(t.Context(), c.desired, []string{"module-reports"}); uerr.KindOf(err) != uerr.NotFound {
		t.Fatal(err)
	}
}

func TestUninstallKeepsDataAndReinstallAdoptsThem(t *testing.T) {
	c := newClinic(t)
	c.desired.Provider, c.desired.PGBin = pgcluster.ProviderBundled, ""
	c.install(t)
	i := New(c.Options)
	before, err := pgcluster.ReadControl(c.Layout.PGData())
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Services.Status(t.Context(), svc.Server)
	if err != nil {
		t.Fatal(err)
	}
	rem, err := i.Uninstall(t.Context(), false)
	if err != nil || !slices.Contains(rem.Kept, c.Layout.Var()) || rem.Components[len(rem.Components)-1] != release.Practicectl {
		t.Fatalf("%+v %v", rem, err)
	}
	if entries, err := os.ReadDir(c.Layout.Opt()); err != nil || len(entries) != 0 {
		t.Fatal("programs stay:", entries, err)
	}
	if c.Agent.Running(t.Context()) || processRuns(st.PID) {
		t.Fatal("something still runs")
	}
	if _, err := i.Uninstall(t.Context(), false); uerr.KindOf(err) != uerr.NotFound {
		t.Fatal(err)
	}
	c.install(t)
	after, err := pgcluster.ReadControl(c.Layout.PGData())
	if err != nil || after.SystemID != before.SystemID {
		t.Fatal("the data were not adopted", err)
	}

	if rem, err = i.Uninstall(t.Context(), true); err != nil || len(rem.Deleted) != 3 {
		t.Fatalf("%+v %v", rem, err)
	}
	if _, err := os.Stat(c.Layout.Var()); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("data stay after a purge", err)
	}
}

func TestPreflightRefusesBeforeAnythingChanges(t *testing.T) {
	c := newClinic(t)
	l, err := net.Listen("tcp", c.desired.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	root := c.Options
	root.EUID, root.RootHint = 0, "runuser -u practice -- practicectl install"
	full := c.Options
	full.Free = func(string) (int64, error) { return 1 << 20, nil }
	elsewhere := clone(c.desired)
	elsewhere.Listen = "127.0.0.1:0"
	foreign := c.Options
	foreign.Layout.Prefix = "/proc"
	for name, try := range map[string]struct {
		o    Options
		d    Desired
		kind uerr.Kind
		hint string
	}{
		"port taken":   {c.Options, c.desired, uerr.Precond, "--listen"},
		"root":         {root, c.desired, uerr.Precond, "runuser -u practice"},
		"disk full":    {full, elsewhere, uerr.NoSpace, "--prefix"},
		"no right":     {foreign, elsewhere, uerr.Precond, "--prefix"},
		"module":       {c.Options, Desired{Profile: ProfileWorkstation, Modules: []string{"surgery"}}, uerr.Usage, "--help"},
		"profile":      {c.Options, Desired{Profile: "toaster"}, uerr.Usage, "--help"},
		"component":    {c.Options, Desired{Profile: ProfileWorkstation, Components: []string{"../x"}}, uerr.Usage, "--help"},
		"no release":   {c.Options, Desired{Profile: ProfileWorkstation, Version: "9.9.9"}, uerr.NotFound, "component list"},
		"no component": {c.Options, Desired{Profile: ProfileWorkstation, Modules: []string{"reports"}}, uerr.NotFound, ""},
	} {
		_, err := New(try.o).Install(t.Context(), try.d, "")
		if uerr.KindOf(err) != try.kind || !strings.Contains(uerr.HintOf(err), try.hint) {
			t.Errorf("%s: %v, hint %q", name, err, uerr.HintOf(err))
		}
	}
	for _, dir := range []string{c.Layout.Etc(), c.Layout.Receipts(), c.Layout.PGData()} {
		if _, err := os.Stat(dir); err == nil {
			t.Error(dir + " was made")
		}
	}
}

func TestTwoInstancesShareComponents(t *testing.T) {
	c := newClinic(t)
	c.desired.Profile, c.desired.Modules = ProfileWorkstation, []string{"clinical"}
	c.install(t)
	other := c.Options
	other.Layout.Instance = "branch"
	other.Settings = settings{other.Layout.Config()}
	d := clone(c.desired)
	d.Modules = []string{"frontdesk"}
	if rep, err := New(other).Install(t.Context(), d, ""); err != nil || rep.Outcome != "committed" {
		t.Fatal(rep, err)
	}
	if _, err := New(c.Options).Uninstall(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"client": true, "module-frontdesk": true, "practicectl": true, "module-clinical": false} {
		if _, err := os.Stat(filepath.Join(c.Layout.Component(name), "1.0.0")); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f, err := New(other).Verify(t.Context(), nil); err != nil {
		t.Fatal(f, err)
	}
}

func TestStagedFolderThatNobodySignedIsReplaced(t *testing.T) {
	c := newClinic(t)
	c.desired.Profile = ProfileWorkstation
	planted := filepath.Join(c.Layout.Component(release.Client), "1.0.0")
	if err := os.MkdirAll(planted, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(planted, "component.json"), []byte(`{"schema":1,"name":"client","version":"1.0.0","os":"any","arch":"any","files":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	c.install(t)
	if _, err := os.Stat(filepath.Join(planted, "bin", "practice-client")); err != nil {
		t.Fatal("the planted folder was taken for the component:", err)
	}
}

func TestTamperedComponentIsNeverUnpacked(t *testing.T) {
	c := newClinic(t)
	c.desired.Profile = ProfileWorkstation
	blobs, err := filepath.Glob(filepath.Join(c.releases.Dir, "targets", "stable", release.Client, "*", "*", "*"))
	if err != nil || len(blobs) != 1 {
		t.Fatal(blobs, err)
	}
	data, err := os.ReadFile(blobs[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(blobs[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = New(c.Options).Install(t.Context(), c.desired, "")
	if uerr.KindOf(err) != uerr.Integrity {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Layout.Component(release.Client)); err == nil {
		t.Fatal("something of it is on the disk")
	}
}

func TestFailedInstallLeavesTheMachineAsItWas(t *testing.T) {
	c := newClinic(t)
	c.install(t)
	if _, err := New(c.Options).Uninstall(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	before := c.contents(t)
	// A server that never gets ready.
	broken := New(c.Options)
	broken.o.Settings = brokenSettings{c.Settings}
	_, err := broken.Install(t.Context(), c.desired, "")
	if err == nil {
		t.Fatal("installed although the server cannot start")
	}
	if after := c.contents(t); after != before {
		t.Fatalf("%v left a trace:\nbefore\n%s\nafter\n%s", err, before, after)
	}
	if c.Agent.Running(t.Context()) {
		t.Fatal("an agent still runs")
	}
}

// brokenSettings writes a configuration that the server cannot read.
type brokenSettings struct{ Settings }

func (b brokenSettings) Match(Desired) (bool, error) { return false, nil }
func (b brokenSettings) Write(Desired) error {
	return os.WriteFile(b.Settings.(settings).path, []byte("{"), 0o640)
}

func TestResolveNamesThePath(t *testing.T) {
	world := map[string][]string{"server": {"postgresql"}, "postgresql": nil, "a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"gone"}}
	lookup := func(name string) (Package, error) {
		req, ok := world[name]
		if !ok {
			return Package{}, uerr.New(uerr.NotFound, "find", name, errors.New("not in channel stable"), "practicectl update check")
		}
		return Package{Name: name, Version: "1", Requires: req}, nil
	}
	got, err := Resolve([]string{"server", "postgresql"}, lookup)
	if err != nil || len(got) != 2 || got[0].Name != "postgresql" {
		t.Fatal(got, err)
	}
	if _, err := Resolve([]string{"a"}, lookup); uerr.KindOf(err) != uerr.Precond || !strings.Contains(err.Error(), "a → b → c → a") {
		t.Fatal(err)
	}
	if _, err := Resolve([]string{"d"}, lookup); uerr.KindOf(err) != uerr.NotFound || !strings.Contains(err.Error(), "d → e → gone") {
		t.Fatal(err)
	}
}

func TestReceiptsAreChainedAndDamageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"1.0.0", "1.1.0"} {
		if err := WriteReceipt(dir, Receipt{Component: "server", Version: v}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := ReadReceipts(dir)
	if err != nil || len(all) != 1 || all[0].Version != "1.1.0" || len(all[0].Prev) != 64 {
		t.Fatalf("%+v %v", all, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "server.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadReceipts(dir); uerr.KindOf(err) != uerr.Integrity {
		t.Fatal(err)
	}
}

func processRuns(pid int) bool {
	return pid != 0 && !zombie(pid)
}

func TestUninstallStopsServicesOfADeadAgent(t *testing.T) {
	c := newClinic(t)
	c.desired.PGBin = postgres(t, 15).Dir
	c.install(t)
	info, err := svc.NewAgent(c.Layout.AgentSocket()).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Services.Status(t.Context(), svc.Database)
	if err != nil {
		t.Fatal(err)
	}
	kill(t, info.PID)
	if !processRuns(st.PID) {
		t.Fatal("the database died with the agent: the test proves nothing")
	}
	if _, err := New(c.Options).Uninstall(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	if processRuns(st.PID) {
		t.Fatal("the database still runs")
	}
}
