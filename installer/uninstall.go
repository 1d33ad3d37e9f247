package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/internal/atomicfile"
	"practicectl/internal/slots"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// Remove takes components away, and those that only they required. Error kinds: NotFound; Precond when another
// component requires one of them, with the path, or when it is what the instance consists of.
func (i *Installer) Remove(ctx context.Context, d Desired, names []string) ([]string, error) {
	all, err := ReadReceipts(i.o.Layout.Receipts())
	if err != nil {
		return nil, err
	}
	gone, err := removable(all, names)
	if err != nil {
		return nil, err
	}
	d.Components = slices.DeleteFunc(slices.Clone(d.Components), func(c string) bool { return slices.Contains(gone, c) })
	d.Modules = slices.DeleteFunc(slices.Clone(d.Modules), func(m string) bool { return slices.Contains(gone, ModulePrefix+m) })
	// The configuration first: should this end half way, nothing asks for what is half gone.
	if err := i.o.Settings.Write(d); err != nil {
		return nil, err
	}
	for _, name := range gone {
		if err := i.drop(name); err != nil {
			return nil, err
		}
		if err := removeFile(receiptPath(i.o.Layout.Receipts(), name)); err != nil {
			return nil, cannot("remove the receipt of", name, err)
		}
	}
	return gone, ctx.Err()
}

// Removable says what [Installer.Remove] would take away. Error kinds: those of Remove.
func (i *Installer) Removable(names []string) ([]string, error) {
	all, err := ReadReceipts(i.o.Layout.Receipts())
	if err != nil {
		return nil, err
	}
	return removable(all, names)
}

// removable returns names and everything that is on the machine only because of them, dependents first.
func removable(all []Receipt, names []string) ([]string, error) {
	var gone []string
	left := slices.Clone(all)
	take := func(name string) {
		gone = append(gone, name)
		left = slices.DeleteFunc(left, func(r Receipt) bool { return r.Component == name })
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(r Receipt) bool { return r.Component == name }) {
			return nil, uerr.New(uerr.NotFound, "remove", name, errors.New("not installed"), "practicectl component list")
		}
		if slices.Contains([]string{release.Practicectl, release.Server, release.Postgres}, name) {
			return nil, uerr.New(uerr.Precond, "remove", name, errors.New("the instance cannot be without it"), "take the whole instance away: practicectl uninstall")
		}
		take(name)
	}
	for _, name := range names {
		if by := requiredBy(left, name); len(by) > 0 {
			return nil, uerr.New(uerr.Precond, "remove", name, fmt.Errorf("it is required: %s → %s", by[0], name), "practicectl component remove "+strings.Join(append(by, name), " "))
		}
	}
	for again := true; again; {
		again = false
		for _, r := range left {
			// Only what one of the removed needed: other left-overs are somebody's decision.
			needed := slices.ContainsFunc(all, func(o Receipt) bool {
				return slices.Contains(gone, o.Component) && slices.Contains(o.Requires, r.Component)
			})
			if !r.Asked && needed && len(requiredBy(left, r.Component)) == 0 {
				take(r.Component)
				again = true
				break
			}
		}
	}
	return gone, nil
}

// drop deletes all versions of a component unless another instance on this machine uses it.
func (i *Installer) drop(component string) error {
	others, err := filepath.Glob(filepath.Join(escapeGlob(filepath.Dir(i.o.Layout.Var())), "*", "receipts", component+".json"))
	if err != nil {
		return err
	}
	own := receiptPath(i.o.Layout.Receipts(), component)
	if slices.ContainsFunc(others, func(p string) bool { return p != own }) {
		return nil
	}
	s := i.slots(component)
	return errors.Join(s.Recover(), dropVersions(s))
}

func dropVersions(s slots.Slots) error {
	versions, err := s.Versions()
	if err != nil {
		return err
	}
	if err := s.Off(); err != nil {
		return err
	}
	for _, v := range versions {
		if err := s.Remove(v); err != nil {
			return err
		}
	}
	return removeFile(s.Dir)
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Removal is what an uninstallation does.
type Removal struct {
	Components []string `json:"components"`
	Kept       []string `json:"kept"`    // folders that stay: data, configuration, keys, logs
	Deleted    []string `json:"deleted"` // folders of data that go
}

// PlanUninstall says what would go and what would stay. With purge the data go too. Error kinds: NotFound; LossGuard
// when something is mounted below a folder that would be deleted.
func (i *Installer) PlanUninstall(purge bool) (Removal, error) {
	l := i.o.Layout
	all, err := ReadReceipts(l.Receipts())
	if err != nil {
		return Removal{}, err
	}
	rem := Removal{Components: []string{}, Kept: []string{}, Deleted: []string{}}
	for _, r := range all {
		rem.Components = append(rem.Components, r.Component)
	}
	for _, dir := range []string{l.Etc(), l.Var(), l.Log()} {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if !purge {
			rem.Kept = append(rem.Kept, dir)
			continue
		}
		if at, err := mountBelow(dir); err != nil || at != "" {
			return rem, uerr.New(uerr.LossGuard, "delete", dir, errors.Join(err, fmt.Errorf("%s is another file system", at)), "unmount it first, or delete by hand what should go")
		}
		rem.Deleted = append(rem.Deleted, dir)
	}
	if len(rem.Components)+len(rem.Deleted) == 0 {
		return rem, uerr.New(uerr.NotFound, "uninstall", l.Instance, errors.New("nothing is installed under "+l.Prefix), "name another: --prefix DIR -i NAME")
	}
	return rem, nil
}

// Uninstall stops the services and takes the programs away. Data, configuration, keys and receipts stay unless purge is
// set. It can be run again after a crash.
func (i *Installer) Uninstall(ctx context.Context, purge bool) (Removal, error) {
	rem, err := i.PlanUninstall(purge)
	if err != nil {
		return rem, err
	}
	if i.o.Unschedule != nil {
		if err := i.o.Unschedule(ctx); err != nil {
			return rem, err
		}
	}
	if err := i.stopServices(ctx); err != nil {
		return rem, err
	}
	// practicectl goes last: it is what a second try would be run with.
	slices.SortStableFunc(rem.Components, func(a, b string) int { return rank(a) - rank(b) })
	for _, name := range rem.Components {
		if err := i.drop(name); err != nil {
			return rem, err
		}
		path := receiptPath(i.o.Layout.Receipts(), name)
		if err := atomicfile.Rename(path, putAway(path)); err != nil {
			return rem, cannot("put away the receipt of", name, err)
		}
	}
	for _, dir := range append(slices.Clone(rem.Deleted), i.o.Layout.Run()) {
		if err := os.RemoveAll(dir); err != nil {
			return rem, uerr.New(uerr.Failed, "delete", dir, err, "run the same command again")
		}
	}
	return rem, nil
}

// putAway is where the receipt at path goes when everything is uninstalled.
func putAway(path string) string { return strings.TrimSuffix(path, ".json") + ".removed" }

func rank(component string) int {
	if component == release.Practicectl {
		return 1
	}
	return 0
}

// stopServices ends everything that runs. An agent that died may have left services behind: a new one is started to end
// them.
func (i *Installer) stopServices(ctx context.Context) error {
	dir := filepath.Dir(i.serviceFile(svc.Server))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return cannot("list", dir, err)
	}
	if a := i.o.Agent; a != nil && len(entries) > 0 && !a.Running(ctx) {
		program, err := i.program(release.Practicectl, release.Practicectl)
		if err == nil {
			err = a.Start(ctx, program)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range []string{svc.Mirror, svc.Server, svc.Database} {
		if err := i.o.Services.Remove(ctx, name); err != nil && uerr.KindOf(err) != uerr.Unreachable {
			return err
		}
	}
	if i.o.Agent != nil {
		if err := i.o.Agent.Stop(ctx); err != nil {
			return err
		}
	}
	// Jobs that a dead agent still had go too.
	return errors.Join(os.RemoveAll(dir), os.RemoveAll(filepath.Join(i.o.Layout.Var(), "agent")))
}
