package proof

import (
	"context"
	"errors"
	"fmt"

	"practicectl/internal/uerr"
)

// Invariants is what an application promises about its data.
type Invariants struct {
	Database string  // where they are asked
	Schema   string  // SQL that tells the number of the application's schema; fails where there is none
	Checks   []Check // in the order of the report
}

// Check is one promise as a question.
type Check struct {
	Name  string // stable, such as "invoice-numbers"
	Says  string // the promise: "invoice numbers are gapless and unique"
	At    string // what it looks at, such as "invoices"
	Count string // SQL: how many of them there are
	SQL   string // one text for each violation, which quotes no value; empty: only the count is of interest
	Grows bool   // the count never falls as the practice goes on
	Since int64  // the schema that has it first
}

const schemaCheck = "schema"

// Promises asks the application's invariants. What breaks one is a finding, and so is a question that the database cannot
// answer. The error is of the machine.
func (i *Instance) Promises(ctx context.Context) ([]Result, error) {
	inv := i.o.Invariants
	if len(inv.Checks) == 0 {
		return nil, nil
	}
	s := &session{i: i, database: inv.Database}
	var schema int64
	first, err := measure(schemaCheck, "the practice's tables are there", "schema versions", func(r *Result) error {
		found, err := column[int64](ctx, s, inv.Schema)
		if err == nil && len(found) == 1 && found[0] > 0 {
			schema, r.Looked = found[0], 1
			return nil
		}
		switch text, ok := complaint(ctx, err); {
		case ok:
			r.find("the database %s: %s", inv.Database, text)
		case err == nil || uerr.KindOf(err) == uerr.NotFound:
			r.find("the database %s has no tables of the practice", inv.Database)
		default:
			return err
		}
		return nil
	})
	if err != nil || !first.Passed() {
		return []Result{first}, errors.Join(err, s.close(ctx))
	}
	out := []Result{first}
	for _, c := range inv.Checks {
		r, err := measure(c.Name, c.Says, c.At, func(r *Result) error { return s.promise(ctx, c, schema, r) })
		if err != nil {
			return out, errors.Join(err, s.close(ctx))
		}
		out = append(out, r)
	}
	return out, s.close(ctx)
}

func (s *session) promise(ctx context.Context, c Check, schema int64, r *Result) error {
	if schema < c.Since {
		r.Skipped = fmt.Sprintf("the snapshot has schema %d, this is known since %d", schema, c.Since)
		return nil
	}
	counts, err := column[int64](ctx, s, c.Count)
	if err == nil && len(counts) == 1 {
		r.Looked = counts[0]
		if c.Grows {
			r.Value = &counts[0]
		}
	}
	if err == nil && c.SQL != "" {
		var found []string
		found, err = s.ask(ctx, c.SQL)
		for _, text := range found {
			r.find("%s", text)
		}
	}
	if err == nil {
		return nil
	}
	text, ok := complaint(ctx, err)
	if !ok {
		return err
	}
	r.find("it cannot be asked: %s", text)
	return nil
}
