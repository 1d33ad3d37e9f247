package installer

import (
	"context"
	"slices"

	"practicectl/internal/steps"
	"practicectl/internal/svc"
	"practicectl/release"
)

// receipt writes down what one component put on the machine.
func (j *job) receipt(p Package) steps.Step {
	dir := j.i.o.Layout.Receipts()
	path := receiptPath(dir, p.Name)
	return steps.Func{
		ID: "receipt of " + p.Name, Action: "write the receipt of " + p.Name,
		On: func(ctx context.Context) (steps.State, error) {
			old, err := ReadReceipt(dir, p.Name)
			if err != nil {
				return steps.Change, nil // none yet, or a damaged one: written again
			}
			if want, err := j.receiptOf(ctx, p); err != nil || !want.same(old) {
				return steps.Change, nil
			}
			return steps.Satisfied, nil
		},
		Do: func(ctx context.Context) error {
			r, err := j.receiptOf(ctx, p)
			if err != nil {
				return err
			}
			r.Installed = j.i.o.Now().UTC()
			if err := j.i.before().save(path); err != nil {
				return cannot("keep", path, err)
			}
			return WriteReceipt(dir, r)
		},
		Revert: func(context.Context) error { return j.i.before().restore(path) },
		Proof: func(context.Context) error {
			_, err := ReadReceipt(dir, p.Name)
			return err
		},
	}
}

func (j *job) receiptOf(ctx context.Context, p Package) (Receipt, error) {
	r := Receipt{Schema: receiptSchema, Component: p.Name, Version: p.Version, Provider: "release", Dir: j.i.slots(p.Name).Path(p.Version),
		Requires: slices.Concat([]string{}, p.Requires), Services: []string{}, Ports: map[string]int{}, Asked: slices.Contains(j.d.wanted(), p.Name)}
	switch p.Name {
	case release.Postgres:
		r.Provider, r.Services, r.Ports["socket"] = j.d.Provider, []string{svc.Database}, j.d.PGPort
	case release.Server:
		r.Services, r.Ports["https"] = []string{svc.Server}, portOf(j.d.Listen)
	}
	if j.external(p) {
		c, err := j.open(ctx)
		r.Dir, r.Version = c.Bin.Dir, c.Bin.Version
		return r, err
	}
	var err error
	r.FilesSHA256, err = manifestSum(r.Dir)
	return r, err
}
