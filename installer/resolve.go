package installer

import (
	"errors"
	"slices"
	"strings"

	"practicectl/internal/uerr"
)

// Package is one component as its own manifest describes it.
type Package struct {
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Requires []string `json:"requires,omitempty"`
}

// Resolve returns the wanted components and everything that they require, each after what it requires. Error kinds:
// those of lookup, with the path that led there; Precond for a circle.
func Resolve(want []string, lookup func(name string) (Package, error)) ([]Package, error) {
	r := resolver{lookup: lookup, done: map[string]bool{}}
	for _, name := range want {
		if err := r.visit(name); err != nil {
			return nil, err
		}
	}
	return r.order, nil
}

type resolver struct {
	lookup func(string) (Package, error)
	order  []Package
	done   map[string]bool
	path   []string
}

func (r *resolver) visit(name string) error {
	if r.done[name] {
		return nil
	}
	if i := slices.Index(r.path, name); i >= 0 {
		circle := strings.Join(append(slices.Clone(r.path[i:]), name), " → ")
		return uerr.New(uerr.Precond, "resolve", name, errors.New("the components require each other in a circle: "+circle),
			"this release is faulty: choose another one with --version")
	}
	r.path = append(r.path, name)
	p, err := r.lookup(name)
	if err != nil {
		if len(r.path) > 1 {
			return uerr.New(uerr.KindOf(err), "resolve", strings.Join(r.path, " → "), err, uerr.HintOf(err))
		}
		return err
	}
	for _, req := range slices.Sorted(slices.Values(p.Requires)) {
		if err := r.visit(req); err != nil {
			return err
		}
	}
	r.path = r.path[:len(r.path)-1]
	r.done[name] = true
	r.order = append(r.order, p)
	return nil
}
