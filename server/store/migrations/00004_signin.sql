-- Signing in without the database ever giving a password hash away: the server asks for salt and parameters, computes
-- argon2id, and the comparison happens here. So injected SQL can neither read a hash nor open a session.

-- +goose Up

-- +goose StatementBegin
CREATE FUNCTION sec.attempt(p_login text, p_ip inet, p_device text, p_account uuid, p_outcome text, p_what text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  INSERT INTO sec.login_attempt (login, ip, device, account_id, outcome) VALUES (p_login, p_ip, p_device, p_account, p_outcome);
  INSERT INTO audit.entry (actor, device, ip, module, feature, action, object_kind, object_id, outcome, reason, request_id)
  VALUES (CASE WHEN p_outcome = 'ok' THEN p_account END, p_device, p_ip, 'auth', 'auth.' || p_what, 'E', 'account', p_account,
          CASE p_outcome WHEN 'ok' THEN 'ok' ELSE 'denied' END, nullif(p_outcome, 'ok'), nullif(current_setting('pm.request', true), '')::uuid);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- delay is how many seconds this login from this address must still wait: from the third failure in a row 1 s, doubled
-- each time, at most 5 min. It is counted for the pair, so nobody can lock another person out; an address that fails
-- 200 times in 15 minutes waits for every login.
CREATE FUNCTION sec.delay(p_login text, p_ip inet) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  fails  integer;
  newest timestamptz;
  spray  integer;
  wait   double precision := 0;
BEGIN
  SELECT count(*), max(a.at) INTO fails, newest
    FROM sec.login_attempt a
   WHERE a.login = p_login AND a.ip IS NOT DISTINCT FROM p_ip AND a.outcome = 'refused' AND a.at > clock_timestamp() - interval '15 minutes'
     AND a.at > coalesce((SELECT max(b.at) FROM sec.login_attempt b WHERE b.login = p_login AND b.ip IS NOT DISTINCT FROM p_ip AND b.outcome = 'ok'), '-infinity');
  IF fails >= 3 THEN
    wait := least(power(2, fails - 3), 300) - extract(epoch FROM clock_timestamp() - newest);
  END IF;
  SELECT count(*) INTO spray FROM sec.login_attempt a WHERE a.ip = p_ip AND a.outcome = 'refused' AND a.at > clock_timestamp() - interval '15 minutes';
  IF spray >= 200 THEN
    wait := greatest(wait, 60);
  END IF;
  RETURN greatest(ceil(wait), 0);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- challenge returns the PHC string up to the salt, a made-up one for an unknown login, and the seconds to wait.
CREATE FUNCTION sec.challenge(p_login text, p_ip inet, OUT phc_prefix text, OUT wait_seconds integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  wait_seconds := sec.delay(p_login, p_ip);
  SELECT substring(c.pw_hash FROM '^(\$[^$]+\$[^$]+\$[^$]+\$[^$]+)\$') INTO phc_prefix
    FROM sec.account a JOIN sec.credential c ON c.account_id = a.id
   WHERE a.login = p_login AND a.state = 'active' AND a.auth_source = 'local';
  IF phc_prefix IS NULL THEN
    SELECT '$argon2id$v=19$m=65536,t=3,p=4$' || rtrim(encode(substring(sha256(p.value || convert_to(p_login, 'UTF8')) FROM 1 FOR 16), 'base64'), '=')
      INTO phc_prefix FROM sec.pepper p;
  END IF;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- sign_in opens a session when p_phc is the account's hash. p_new_phc, when given, replaces a hash with old parameters.
CREATE FUNCTION sec.sign_in(p_login text, p_phc text, p_new_phc text, p_token_hash bytea, p_ip inet, p_device text,
                            OUT outcome text, OUT wait_seconds integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  who uuid;
  pw  text;
  src text;
  st  text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('sign-in ' || p_login, 0));      -- parallel guesses count one after another
  wait_seconds := sec.delay(p_login, p_ip);
  SELECT a.id, c.pw_hash, a.auth_source, a.state INTO who, pw, src, st
    FROM sec.account a LEFT JOIN sec.credential c ON c.account_id = a.id WHERE a.login = p_login;
  IF wait_seconds > 0 THEN
    outcome := 'throttled';
  ELSIF pw IS NOT NULL AND sha256(convert_to(pw, 'UTF8')) = sha256(convert_to(p_phc, 'UTF8')) AND st = 'active' AND src = 'local' THEN
    outcome := 'ok';
  ELSE
    outcome := 'refused';
  END IF;
  PERFORM sec.attempt(p_login, p_ip, p_device, who, outcome, 'sign-in');
  IF outcome <> 'ok' THEN
    RETURN;
  END IF;
  IF p_new_phc IS NOT NULL THEN
    UPDATE sec.credential SET pw_hash = p_new_phc WHERE account_id = who;
  END IF;
  UPDATE sec.account SET last_active_at = now() WHERE id = who;
  INSERT INTO sec.session (token_hash, account_id, device, ip, idle_limit, absolute_expiry)
  SELECT p_token_hash, who, p_device, p_ip,
         make_interval(mins => (SELECT (value #>> '{}')::integer FROM sec.setting WHERE key = 'session.idle_minutes')),
         now() + make_interval(hours => (SELECT (value #>> '{}')::integer FROM sec.setting WHERE key = 'session.absolute_hours'));
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- enter describes the session behind the transaction's token: account, times, rights. With p_active it also counts as
-- something the person did. A session that is over says why: {"dead": "idle" | "revoked" | "displaced" | "expired" | "unknown"}.
CREATE FUNCTION sec.enter(p_active boolean) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  token  text := current_setting('pm.token', true);
  s      sec.session;
  a      sec.account;
  grants jsonb;
  admin  boolean;
BEGIN
  IF token IS NULL OR token = '' THEN
    RETURN jsonb_build_object('dead', 'unknown');
  END IF;
  SELECT * INTO s FROM sec.session WHERE token_hash = sha256(decode(token, 'hex'));
  IF NOT FOUND THEN
    RETURN jsonb_build_object('dead', 'unknown');
  END IF;
  SELECT * INTO a FROM sec.account WHERE id = s.account_id;
  IF s.revoked_at IS NOT NULL THEN
    RETURN jsonb_build_object('dead', coalesce(s.reason, 'revoked'));
  ELSIF a.state <> 'active' THEN
    RETURN jsonb_build_object('dead', 'revoked');
  ELSIF s.absolute_expiry <= now() THEN
    RETURN jsonb_build_object('dead', 'expired');
  ELSIF s.last_user_action + s.idle_limit <= now() THEN
    RETURN jsonb_build_object('dead', 'idle');
  END IF;
  IF p_active AND s.last_user_action < now() - interval '20 seconds' THEN
    UPDATE sec.session SET last_user_action = now() WHERE token_hash = s.token_hash;
    UPDATE sec.account SET last_active_at = now() WHERE id = a.id AND last_active_at < now() - interval '1 hour';
  END IF;
  admin := EXISTS (SELECT 1 FROM sec.account_role r WHERE r.account_id = a.id AND r.role = 'group_admin');
  IF admin THEN
    SELECT jsonb_object_agg(f.key, jsonb_build_object('scope', 'all', 'actions', jsonb_build_array('view', 'add', 'edit', 'delete'))) INTO grants FROM sec.feature f;
  ELSE
    SELECT jsonb_object_agg(q.feature, jsonb_build_object('scope', q.scope, 'actions', q.actions)) INTO grants
      FROM (SELECT p.feature, min(rs.scope) AS scope, jsonb_agg(DISTINCT p.action) AS actions
              FROM sec.account_group g
              JOIN sec.group_perm p ON p.group_key = g.group_key
              JOIN sec.feature f ON f.key = p.feature
              JOIN sec.account_role r ON r.account_id = g.account_id
              JOIN sec.role_scope rs ON rs.role = r.role AND rs.feature = p.feature
             WHERE g.account_id = a.id
               AND (f.module IS NULL OR EXISTS (SELECT 1 FROM sec.account_module m WHERE m.account_id = a.id AND m.module = f.module))
             GROUP BY p.feature) q;
  END IF;
  RETURN jsonb_build_object(
    'account', jsonb_build_object('id', a.id, 'number', a.number, 'login', a.login, 'name', a.name, 'title', a.title, 'kind', a.kind,
      'roles', (SELECT jsonb_agg(r.role ORDER BY r.role) FROM sec.account_role r WHERE r.account_id = a.id),
      'modules', (SELECT jsonb_agg(m.module ORDER BY m.module) FROM sec.account_module m WHERE m.account_id = a.id)),
    'session', jsonb_build_object('id', s.id, 'last_user_action', s.last_user_action, 'absolute_expiry', s.absolute_expiry,
      'idle_seconds', extract(epoch FROM s.idle_limit)::integer),
    'grants', coalesce(grants, '{}'));
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- sign_out ends the session behind the transaction's token.
CREATE FUNCTION sec.sign_out(p_reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  token text := current_setting('pm.token', true);
  s     sec.session;
BEGIN
  IF token IS NULL OR token = '' THEN
    RETURN;
  END IF;
  UPDATE sec.session SET revoked_at = now(), reason = p_reason
   WHERE token_hash = sha256(decode(token, 'hex')) AND revoked_at IS NULL RETURNING * INTO s;
  IF FOUND THEN
    INSERT INTO audit.entry (actor, session_id, device, ip, module, feature, action, object_kind, object_id, reason)
    VALUES (s.account_id, s.id, s.device, s.ip, 'auth', 'auth.sign-out', 'E', 'account', s.account_id, p_reason);
  END IF;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- activate lets the owner of a one-time code choose the password; every older session of the account ends.
CREATE FUNCTION sec.activate(p_login text, p_code_hash bytea, p_phc text, p_ip inet, p_device text,
                             OUT outcome text, OUT wait_seconds integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  who uuid;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('sign-in ' || p_login, 0));
  wait_seconds := sec.delay(p_login, p_ip);
  IF wait_seconds > 0 THEN
    outcome := 'throttled';
  ELSE
    UPDATE sec.credential c SET pw_hash = p_phc, pw_changed_at = now(), activation_hash = NULL, activation_expires = NULL
      FROM sec.account a
     WHERE a.id = c.account_id AND a.login = p_login AND a.state IN ('invited', 'active') AND a.auth_source = 'local'
       AND c.activation_hash = p_code_hash AND c.activation_expires > now()
    RETURNING a.id INTO who;
    outcome := CASE WHEN who IS NULL THEN 'refused' ELSE 'ok' END;
  END IF;
  PERFORM sec.attempt(p_login, p_ip, p_device, who, outcome, 'activate');
  IF who IS NOT NULL THEN
    UPDATE sec.account SET state = 'active', last_active_at = now(), version = version + 1 WHERE id = who;
    UPDATE sec.session SET revoked_at = now(), reason = 'revoked' WHERE account_id = who AND revoked_at IS NULL;
  END IF;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- change_password replaces the caller's own password; p_old_phc proves the old one. Other sessions of the account end.
-- A wrong old password counts like one at sign-in: who finds a screen unlocked must not be able to try them all.
CREATE FUNCTION sec.change_password(p_old_phc text, p_new_phc text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  who  uuid := sec.uid();
  addr inet := nullif(current_setting('pm.ip', true), '')::inet;
  name text;
BEGIN
  SELECT a.login INTO name FROM sec.account a WHERE a.id = who;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('sign-in ' || name, 0));
  IF sec.delay(name, addr) > 0 THEN
    RETURN false;
  END IF;
  UPDATE sec.credential SET pw_hash = p_new_phc, pw_changed_at = now()
   WHERE account_id = who AND sha256(convert_to(pw_hash, 'UTF8')) = sha256(convert_to(p_old_phc, 'UTF8'));
  IF NOT FOUND THEN
    PERFORM sec.attempt(name, addr, coalesce(current_setting('pm.device', true), ''), who, 'refused', 'password');
    RETURN false;
  END IF;
  UPDATE sec.session SET revoked_at = now(), reason = 'revoked'
   WHERE account_id = who AND revoked_at IS NULL AND token_hash <> sha256(decode(current_setting('pm.token', true), 'hex'));
  INSERT INTO audit.entry (actor, module, feature, action, object_kind, object_id) VALUES (who, 'auth', 'auth.password', 'U', 'account', who);
  RETURN true;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- make_account is the one way in which accounts come to be. Not callable by the server's role: see the two doors below.
CREATE FUNCTION sec.make_account(p_id uuid, p_login text, p_name text, p_title text, p_email text, p_role text, p_code_hash bytea) RETURNS integer
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  n integer;
BEGIN
  INSERT INTO sec.account (id, login, name, title, email) VALUES (p_id, p_login, p_name, p_title, p_email) RETURNING number INTO n;
  INSERT INTO sec.credential (account_id, activation_hash, activation_expires) VALUES (p_id, p_code_hash, now() + interval '72 hours');
  INSERT INTO sec.account_role (account_id, role) VALUES (p_id, p_role);
  INSERT INTO sec.account_module (account_id, module) SELECT p_id, m.module FROM sec.role_module m WHERE m.role = p_role;
  INSERT INTO sec.account_group (account_id, group_key) SELECT p_id, g.key FROM sec.security_group g WHERE g.key = p_role;
  RETURN n;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- add_account: an administrator adds a person. Only a group_admin hands out the roles that administer others, and
-- the one that reads every note: whoever adds an account holds its code.
CREATE FUNCTION sec.add_account(p_id uuid, p_login text, p_name text, p_title text, p_email text, p_role text, p_code_hash bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF NOT sec.can('admin.account', 'add') OR (p_role IN ('group_admin', 'owner', 'manager', 'records_custodian') AND NOT EXISTS (
       SELECT 1 FROM sec.account_role r WHERE r.account_id = sec.uid() AND r.role = 'group_admin')) THEN
    RAISE EXCEPTION 'may not add this account' USING ERRCODE = '42501';
  END IF;
  RETURN sec.make_account(p_id, p_login, p_name, p_title, p_email, p_role, p_code_hash);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- first_admin: while the practice has no administrator who can sign in, the machine's administrator makes one. A first
-- administrator who lost the code gets a new one.
CREATE FUNCTION sec.first_admin(p_id uuid, p_login text, p_name text, p_code_hash bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  who uuid;
  n   integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('first admin', 0));
  IF EXISTS (SELECT 1 FROM sec.account a JOIN sec.account_role r ON r.account_id = a.id
              WHERE r.role = 'group_admin' AND a.state = 'active') THEN
    RAISE EXCEPTION 'the practice already has an administrator' USING ERRCODE = '55000';
  END IF;
  UPDATE sec.credential c SET activation_hash = p_code_hash, activation_expires = now() + interval '72 hours'
    FROM sec.account a JOIN sec.account_role r ON r.account_id = a.id
   WHERE c.account_id = a.id AND a.login = p_login AND a.state = 'invited' AND r.role = 'group_admin'
  RETURNING a.id, a.number INTO who, n;
  IF who IS NOT NULL THEN
    RETURN n;
  END IF;
  RETURN sec.make_account(p_id, p_login, p_name, '', '', 'group_admin', p_code_hash);
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION sec.attempt(text, inet, text, uuid, text, text), sec.delay(text, inet), sec.challenge(text, inet),
  sec.sign_in(text, text, text, bytea, inet, text), sec.enter(boolean), sec.sign_out(text), sec.activate(text, bytea, text, inet, text),
  sec.change_password(text, text), sec.make_account(uuid, text, text, text, text, text, bytea),
  sec.add_account(uuid, text, text, text, text, text, bytea), sec.first_admin(uuid, text, text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sec.challenge(text, inet), sec.sign_in(text, text, text, bytea, inet, text), sec.enter(boolean), sec.sign_out(text),
  sec.activate(text, bytea, text, inet, text), sec.change_password(text, text), sec.add_account(uuid, text, text, text, text, text, bytea),
  sec.first_admin(uuid, text, text, bytea) TO pm_app;
GRANT EXECUTE ON FUNCTION sec.make_account(uuid, text, text, text, text, text, bytea) TO pm_migrate;
