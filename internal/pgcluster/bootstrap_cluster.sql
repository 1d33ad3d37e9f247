-- Roles of the cluster (bootstrap.go runs this again at any time; it converges). None is a superuser, none has a
-- password: they are reached over the unix socket by the operating system account.
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['pm_owner', 'pm_app', 'pm_server', 'pm_migrate', 'pm_backup', 'pm_sealer', 'pm_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('CREATE ROLE %I', r);
        END IF;
    END LOOP;
END $$;

-- pm_owner owns the schema, pm_app holds the rights of a request. Nobody signs in as them.
ALTER ROLE pm_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT PASSWORD NULL;
ALTER ROLE pm_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT PASSWORD NULL;
-- The server holds no right of its own: each request takes pm_app by SET LOCAL ROLE, under row level security.
ALTER ROLE pm_server LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD NULL;
-- Migrations see every row: under FORCE ROW LEVEL SECURITY a backfill would otherwise copy nothing and succeed.
ALTER ROLE pm_migrate LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS INHERIT PASSWORD NULL;
-- The backup reads everything and streams the write-ahead log.
ALTER ROLE pm_backup LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION BYPASSRLS INHERIT PASSWORD NULL;
ALTER ROLE pm_sealer LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT PASSWORD NULL;
ALTER ROLE pm_auditor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT PASSWORD NULL;

GRANT pm_app TO pm_server;
GRANT pm_owner TO pm_migrate;
GRANT pg_read_all_data, pg_read_all_settings, pg_read_all_stats TO pm_backup;
