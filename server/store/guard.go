package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"practicectl/internal/uerr"
)

// guard refuses to serve from a place that is not safe.
func (s *Store) guard(ctx context.Context) error {
	var super, bypass, owner bool
	err := s.pool.QueryRow(ctx, `SELECT r.rolsuper, r.rolbypassrls,
  EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('sec', 'pm', 'audit') AND pg_has_role(current_user, c.relowner, 'MEMBER'))
  FROM pg_roles r WHERE r.rolname = current_user`).Scan(&super, &bypass, &owner)
	if err != nil {
		return uerr.New(uerr.Unreachable, "connect to the database", "", err, "practicectl db status")
	}
	if super || bypass || owner {
		return uerr.New(uerr.Precond, "start the server", "", errors.New("the database role is a superuser, bypasses row security or owns the tables; patient data would be unprotected"),
			"let the server log in as pm_server")
	}
	v, err := s.schema(ctx)
	if err != nil {
		return err
	}
	if err := v.Check(); err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND ((n.nspname IN ('pm', 'audit') AND NOT (c.relrowsecurity AND c.relforcerowsecurity))
   OR (n.nspname = 'sec' AND NOT c.relrowsecurity AND c.relname NOT IN ('schema_version', 'schema_floor'))) ORDER BY 1`)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	var bare []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		bare = append(bare, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(bare) > 0 {
		return uerr.New(uerr.Precond, "start the server", "", fmt.Errorf("tables without forced row security: %s", strings.Join(bare, ", ")),
			"ALTER TABLE … FORCE ROW LEVEL SECURITY, or restore the schema with practicectl update apply")
	}
	return nil
}
