-- Inside the practice's database (bootstrap.go runs this again at any time; it converges).
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS amcheck;

GRANT EXECUTE ON FUNCTION
    pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_switch_wal(), pg_create_restore_point(text)
    TO pm_backup;

-- Operations keep their own tables outside the application's schema and its migrations.
CREATE SCHEMA IF NOT EXISTS practice_ops;
REVOKE ALL ON SCHEMA practice_ops FROM PUBLIC;

-- One row a backup: the next run must find the row of the last snapshot, else this database is a copy or an older state
-- of the one that was saved.
CREATE TABLE IF NOT EXISTS practice_ops.witness (
    token      text PRIMARY KEY,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A backup makes and drops a relation once for each version of PostgreSQL, to see whether the log's summaries tell of it.
CREATE OR REPLACE FUNCTION practice_ops.probe_relation() RETURNS oid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE node oid;
BEGIN
    CREATE TABLE practice_ops.probe ();
    node := pg_relation_filenode('practice_ops.probe');
    DROP TABLE practice_ops.probe;
    RETURN node;
END $$;
REVOKE ALL ON FUNCTION practice_ops.probe_relation() FROM PUBLIC;

-- The term rises with each promotion; a server with an older term must not be written to.
CREATE TABLE IF NOT EXISTS practice_ops.cluster_term (
    term   bigint PRIMARY KEY CHECK (term > 0),
    node   text NOT NULL,
    since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL
);
INSERT INTO practice_ops.cluster_term (term, node, reason)
    SELECT 1, '', 'first start' WHERE NOT EXISTS (SELECT FROM practice_ops.cluster_term);

GRANT USAGE ON SCHEMA practice_ops TO pm_backup, pm_app, pm_server, pm_migrate;
GRANT SELECT, INSERT ON practice_ops.witness TO pm_backup;
GRANT EXECUTE ON FUNCTION practice_ops.probe_relation() TO pm_backup;
GRANT SELECT ON practice_ops.cluster_term TO pm_backup, pm_app, pm_server, pm_migrate;
