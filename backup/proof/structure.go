package proof

import (
	"context"
	"errors"
	"fmt"

	"practicectl/backup/pgsource"
	"practicectl/internal/pgcluster"
	"practicectl/internal/progress"
	"practicectl/internal/uerr"
)

// scratchSchema holds the extensions that a thorough proof adds to a scratch copy.
const scratchSchema = "practicectl_drill"

// lasting are the relations whose content comes back with a backup: neither temporary nor unlogged.
const lasting = "c.relpersistence = 'p'"

// what a thorough proof asks of each relation of a kind. %s is the schema of the extension.
var structure = []struct {
	name, says, at, extension string
	function                  string // "name(types)"; where it is not there the check is skipped
	relations                 string // SQL: oid and name
	finds                     string // SQL with the relation as $1: a text for each finding
}{
	{"b-trees", "every B-tree is in order and holds an entry for every row", "indexes", "amcheck", "bt_index_parent_check(regclass,boolean,boolean)",
		`SELECT c.oid, c.oid::regclass::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
		  WHERE a.amname = 'btree' AND c.relkind = 'i' AND ` + lasting + ` AND i.indisvalid AND i.indisready ORDER BY c.oid`,
		`SELECT 'impossible' WHERE %s.bt_index_parent_check($1::oid::regclass, true, false) IS NULL`},
	{"gin", "every inverted index is in order", "indexes", "amcheck", "gin_index_check(regclass)",
		`SELECT c.oid, c.oid::regclass::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
		  WHERE a.amname = 'gin' AND c.relkind = 'i' AND ` + lasting + ` AND i.indisvalid AND i.indisready ORDER BY c.oid`,
		`SELECT 'impossible' WHERE %s.gin_index_check($1::oid::regclass) IS NULL`},
	{"tables", "every row of every table can be read, with what is stored beside it", "tables", "amcheck", "verify_heapam(regclass,boolean,boolean,text,bigint,bigint)",
		`SELECT c.oid, c.oid::regclass::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam
		  WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't') AND ` + lasting + ` ORDER BY c.oid`,
		`SELECT format('block %%s, item %%s: %%s', blkno, offnum, msg) FROM %s.verify_heapam($1::oid::regclass, check_toast => true) LIMIT 1000`},
	{"visibility", "the visibility map says of no row what is not so", "tables", "pg_visibility", "pg_check_visible(regclass)",
		`SELECT c.oid, c.oid::regclass::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam
		  WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't') AND ` + lasting + ` ORDER BY c.oid`,
		`SELECT format('row %%s is marked visible to all and is not', t_ctid) FROM %[1]s.pg_check_visible($1::oid::regclass)
		  UNION ALL SELECT format('row %%s is marked frozen and is not', t_ctid) FROM %[1]s.pg_check_frozen($1::oid::regclass) LIMIT 1000`},
}

// Structure asks everything that can be asked about the structure of a scratch copy: it adds the extensions that it needs, so
// the copy must not be put in place. Checksums come with [Instance.Checksums]. Error kind: Precond when amcheck is not
// installed; findings are in the results.
func (i *Instance) Structure(ctx context.Context, task progress.Task) ([]Result, error) {
	var out []Result
	for _, what := range structure {
		r, err := measure(what.name, what.says, what.at, func(r *Result) error {
			var why string
			asked := 0
			err := i.eachDatabase(ctx, func(database string, s *session) error {
				schema, missing, err := s.extension(ctx, what.extension, what.function)
				if err != nil || missing != "" {
					why = missing
					return err
				}
				asked++
				return s.eachRelation(ctx, what.relations, fmt.Sprintf(what.finds, schema), r, task)
			})
			if asked == 0 {
				r.Skipped = why
			}
			return err
		})
		if err != nil {
			return out, err
		}
		if r.Skipped != "" && what.name == "b-trees" {
			return out, uerr.New(uerr.Precond, "check the indexes of", i.o.Data, errors.New(r.Skipped), "install PostgreSQL with its contrib modules: "+pgcluster.AptLine)
		}
		out = append(out, r)
	}
	r, err := measure("references", "every reference leads to a row", "foreign keys", func(r *Result) error {
		return i.eachDatabase(ctx, func(_ string, s *session) error { return s.references(ctx, r) })
	})
	return append(out, r), err
}

// extension makes an extension available and returns the schema it lies in, or why it is missing.
func (s *session) extension(ctx context.Context, name, function string) (schema, missing string, err error) {
	const where = "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1"
	found, err := column[string](ctx, s, where, name)
	if err == nil && len(found) == 0 {
		conn := s.conn
		if _, err = conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+scratchSchema); err == nil {
			_, err = conn.Exec(ctx, "CREATE EXTENSION "+name+" SCHEMA "+scratchSchema)
		}
		if text, ok := complaint(ctx, err); err != nil && ok {
			return "", fmt.Sprintf("the extension %s is not there: %s", name, text), nil
		}
		if err == nil {
			found, err = column[string](ctx, s, where, name)
		}
	}
	if err != nil {
		return "", "", err
	}
	there, err := column[bool](ctx, s, "SELECT to_regprocedure($1) IS NOT NULL", found[0]+"."+function)
	if err == nil && !there[0] {
		return "", "this PostgreSQL does not have it", nil
	}
	return found[0], "", err
}

// eachRelation asks a question of each relation that a query names.
func (s *session) eachRelation(ctx context.Context, relations, finds string, r *Result, task progress.Task) error {
	conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, relations)
	if err != nil {
		return err
	}
	type relation struct {
		OID  uint32
		Name string
	}
	var all []relation
	for rows.Next() {
		var one relation
		if err := rows.Scan(&one.OID, &one.Name); err != nil {
			return err
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	task.Grow(int64(len(all)))
	for _, one := range all {
		found, err := s.ask(ctx, finds, one.OID)
		if text, ok := complaint(ctx, err); err != nil && ok {
			found = append(found, text)
		} else if err != nil {
			return err
		}
		for _, text := range found {
			r.find("%s.%s: %s", s.database, one.Name, text)
		}
		r.Looked++
		task.Add(1)
	}
	return nil
}

// Checksums verifies the checksum of every page of the stopped copy.
func (i *Instance) Checksums(ctx context.Context) (Result, error) {
	return measure("checksums", "every page has the checksum that it was written with", "pages", func(r *Result) error {
		control, err := pgcluster.ReadControl(i.o.Data)
		switch {
		case err != nil:
			return err
		case control.DataChecksums == 0:
			r.Skipped = "this database was made without page checksums"
			return nil
		}
		damaged, pages, err := pgsource.CheckStopped(ctx, i.o.Data, control.RelationSegment)
		for _, d := range damaged {
			r.find("block %d of %s is damaged", d.Block, d.Path)
		}
		r.Looked = pages
		return err
	})
}

// indexesInOrder checks the structure of every B-tree of every database that has amcheck, in no more time than reading them
// takes.
func (i *Instance) indexesInOrder(ctx context.Context) error {
	return i.eachDatabase(ctx, func(name string, s *session) error {
		schema, err := column[string](ctx, s, "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'")
		if err == nil && len(schema) > 0 {
			_, err = s.conn.Exec(ctx, `SELECT `+schema[0]+`.bt_index_check(c.oid::regclass) FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
				WHERE a.amname = 'btree' AND c.relkind = 'i' AND `+lasting+` AND i.indisvalid AND i.indisready`)
		}
		if err != nil {
			return uerr.New(uerr.Integrity, "check the indexes of database", name, err, "restore another snapshot: practicectl backup list")
		}
		return nil
	})
}
