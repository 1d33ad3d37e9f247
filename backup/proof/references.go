package proof

import (
	"context"
	"fmt"
)

// foreignKeys lists every foreign key with a query that counts the rows which refer to nothing. A key of which a column is
// NULL refers to nothing and may.
const foreignKeys = `
SELECT format('%s.%s', k.conrelid::regclass, quote_ident(k.conname)) AS name,
       format('SELECT count(*) FROM ONLY %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s)', k.conrelid::regclass,
         string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND '), k.confrelid::regclass,
         string_agg(format('p.%I OPERATOR(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' AND ')) AS orphans
  FROM pg_constraint k
  CROSS JOIN LATERAL unnest(k.conkey, k.confkey, k.conpfeqop) AS u (child, parent, operator)
  JOIN pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.child
  JOIN pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.parent
  JOIN pg_operator o ON o.oid = u.operator
  JOIN pg_namespace n ON n.oid = o.oprnamespace
  JOIN pg_class t ON t.oid = k.conrelid
 WHERE k.contype = 'f' AND k.conparentid = 0 AND k.convalidated AND t.relkind = 'r' AND t.relpersistence = 'p'
   AND to_jsonb(k) ->> 'conperiod' IS DISTINCT FROM 'true' -- PostgreSQL 18: keys over time have another meaning
 GROUP BY k.oid, k.conrelid, k.confrelid, k.conname
 ORDER BY k.oid`

// references looks for rows that refer to a row which is not there. The server keeps that from happening; a copy that lost
// pages has such rows.
func (s *session) references(ctx context.Context, r *Result) error {
	conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, foreignKeys)
	if err != nil {
		return err
	}
	var names, queries []string
	for rows.Next() {
		var name, query string
		if err := rows.Scan(&name, &query); err != nil {
			return err
		}
		names, queries = append(names, name), append(queries, query)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for n, query := range queries {
		r.Looked++
		found, err := s.ask(ctx, fmt.Sprintf("SELECT format('%%s rows refer to nothing', n) FROM (%s) x (n) WHERE n > 0", query))
		if text, ok := complaint(ctx, err); err != nil && ok {
			found = append(found, text)
		} else if err != nil {
			return err
		}
		for _, text := range found {
			r.find("%s.%s: %s", s.database, names[n], text)
		}
	}
	return nil
}
