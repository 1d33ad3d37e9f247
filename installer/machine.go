package installer

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"practicectl/internal/paths"
	"practicectl/internal/uerr"
	"practicectl/release"
)

// OnMachine fills in what the receipts say about a machine: its profile and the components that somebody asked for
// besides. What d says already is kept. Error kind: Precond when d would make a workstation of a server.
func OnMachine(l paths.Layout, d Desired) (Desired, error) {
	all, err := ReadReceipts(l.Receipts())
	if err != nil {
		return d, err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(all, func(r Receipt) bool { return r.Component == name })
	}
	had := func(name string) bool {
		_, err := os.Stat(putAway(receiptPath(l.Receipts(), name)))
		return err == nil
	}
	if d.Profile == "" {
		d.Profile = ProfileServer
		if len(all) > 0 && !has(release.Server) || len(all) == 0 && had(release.Client) && !had(release.Server) {
			d.Profile = ProfileWorkstation
		}
	}
	if d.Profile != ProfileServer && has(release.Server) {
		return d, uerr.New(uerr.Precond, "make a "+d.Profile+" of", l.Instance, errors.New("it is a server"), "use another instance for it: -i NAME")
	}
	base := Desired{Profile: d.Profile}.wanted()
	for _, r := range all {
		module := strings.HasPrefix(r.Component, ModulePrefix)
		if r.Asked && !module && !slices.Contains(base, r.Component) && !slices.Contains(d.Components, r.Component) {
			d.Components = append(d.Components, r.Component)
		}
	}
	slices.Sort(d.Components)
	return d, nil
}

// Offered is one component that a source has for this machine.
type Offered struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	Size      int64  `json:"size"` // bytes to fetch
}

// Offer asks the source for the newest version of every component.
func (i *Installer) Offer(ctx context.Context) ([]Offered, error) {
	cat, err := i.catalog(ctx)
	if err != nil {
		return nil, err
	}
	all := []Offered{}
	for _, name := range release.Components() {
		if t, err := cat.Find(name, "", i.o.OS, i.o.Arch); err == nil { // else there is none for this machine
			all = append(all, Offered{Component: name, Version: t.Version, Size: t.Length})
		}
	}
	return all, nil
}
