package authn_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"practicectl/internal/api"
	"practicectl/internal/secret"
	"practicectl/internal/testenv"
	"practicectl/server/authn"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/servertest"
)

const password = "ein sehr langer Satz 17"

func each(t *testing.T, f func(t *testing.T, p *servertest.Practice)) {
	t.Helper()
	for _, major := range testenv.PGMajors {
		t.Run(fmt.Sprintf("pg%d", major), func(t *testing.T) { f(t, servertest.Start(t, major)) })
	}
}

// admin makes the first administrator and signs them in.
func admin(t *testing.T, p *servertest.Practice) *authz.Caller {
	t.Helper()
	inv, err := p.Accounts.First(t.Context(), api.FirstAdmin{Login: "Anna", Name: "Dr. Anna Berg"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Authn.Activate(t.Context(), "anna", inv.Code, secret.New(password), here("10.0.0.1")); err != nil {
		t.Fatal(err)
	}
	return p.Enter(t, signIn(t, p, "anna"))
}

func here(ip string) authn.Where { return authn.Where{IP: ip, Device: "test"} }

func signIn(t *testing.T, p *servertest.Practice, login string) secret.Text {
	t.Helper()
	token, err := p.Authn.SignIn(t.Context(), login, secret.New(password), here("10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func want(t *testing.T, err error, code problem.Code, reason string) {
	t.Helper()
	if e := problem.As(err); e == nil || e.Code != code || reason != "" && e.Reason != reason {
		t.Fatalf("got %v, want %s %s", err, code, reason)
	}
}

func enter(t *testing.T, p *servertest.Practice, token secret.Text, active bool) error {
	t.Helper()
	_, err := p.Authn.Enter(t.Context(), token, active, here("10.0.0.1"))
	return err
}

func TestT7_PeopleSetTheirOwnPasswords(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		ctx := t.Context()
		boss := admin(t, p)
		_, err := p.Accounts.First(ctx, api.FirstAdmin{Login: "eve", Name: "Eve"})
		want(t, err, problem.Locked, "")

		inv, err := p.Accounts.Add(ctx, boss, api.NewAccount{Login: "Ute", Name: "Ute Lang"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Accounts.Add(ctx, boss, api.NewAccount{Login: "ute", Name: "Andere"})
		want(t, err, problem.Conflict, "")
		_, err = p.Accounts.Add(ctx, boss, api.NewAccount{Login: "x y", Name: "Andere"})
		want(t, err, problem.Invalid, "")
		_, err = p.Accounts.Add(ctx, boss, api.NewAccount{Login: "rolle", Name: "Andere", Role: "gott"})
		want(t, err, problem.Invalid, "")

		_, err = p.Authn.SignIn(ctx, "ute", secret.New(inv.Code), here("10.0.0.2"))
		want(t, err, problem.Refused, "")
		for _, bad := range []string{"kurz", strings.Repeat("a", 20), strings.Repeat("x1y2z3", 60)} {
			want(t, p.Authn.Activate(ctx, "ute", inv.Code, secret.New(bad), here("10.0.0.2")), problem.Invalid, "")
		}
		want(t, p.Authn.Activate(ctx, "ute", "AAAAA-AAAAA-AAAAA-AAAAA", secret.New(password), here("10.0.0.2")), problem.Refused, "")
		if err := p.Authn.Activate(ctx, " UTE ", strings.ToLower(strings.ReplaceAll(inv.Code, "-", " ")), secret.New(password), here("10.0.0.2")); err != nil {
			t.Fatal(err)
		}
		want(t, p.Authn.Activate(ctx, "ute", inv.Code, secret.New(password+"!"), here("10.0.0.3")), problem.Refused, "") // once
		ute := p.Enter(t, signIn(t, p, "ute"))
		if !ute.HasRole("member") || len(ute.Account.Roles) != 1 { // P1: member unless said otherwise
			t.Errorf("roles: %v", ute.Account.Roles)
		}
		_, err = p.Accounts.Add(ctx, ute, api.NewAccount{Login: "mallory", Name: "Mallory"})
		want(t, err, problem.Forbidden, "")

		late, err := p.Accounts.Add(ctx, boss, api.NewAccount{Login: "spaet", Name: "Zu Spät"})
		if err != nil {
			t.Fatal(err)
		}
		p.Exec(t, `UPDATE sec.credential SET activation_expires = activation_expires - interval '72 hours 1 second' WHERE account_id = $1`, late.ID)
		want(t, p.Authn.Activate(ctx, "spaet", late.Code, secret.New(password), here("10.0.0.2")), problem.Refused, "")

		for _, secretText := range []string{password, inv.Code, late.Code} {
			if n := p.Count(t, `SELECT count(*) FROM audit.entry e WHERE to_jsonb(e)::text LIKE '%' || $1 || '%'`, secretText); n != 0 {
				t.Error("the audit log holds a password or code")
			}
		}
	})
}

func TestAStaffAdministratorHandsOutNoPower(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	staff := p.Person(t, "staff_administrator")
	if _, err := p.Accounts.Add(t.Context(), staff, api.NewAccount{Login: "neu", Name: "Neu"}); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"group_admin", "owner", "manager", "records_custodian"} {
		_, err := p.Accounts.Add(t.Context(), staff, api.NewAccount{Login: "neu2", Name: "Neu", Role: role})
		want(t, err, problem.Forbidden, "")
	}
}

func TestSessionsEnd(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		admin(t, p)
		token := signIn(t, p, "anna")

		// A3 by the server's clock: used every 29 minutes it lives, after 30 idle ones it is over.
		p.Advance(29 * time.Minute)
		if err := enter(t, p, token, true); err != nil {
			t.Fatal(err)
		}
		p.Advance(31 * time.Minute)
		want(t, enter(t, p, token, true), problem.SignIn, "idle")
		p.Advance(-60 * time.Minute)
		want(t, enter(t, p, token, true), problem.SignIn, "idle") // it stays over

		// A3 by the database's clock, which even stolen SQL cannot move.
		token = signIn(t, p, "anna")
		who := p.Enter(t, token)
		p.Exec(t, `UPDATE sec.session SET last_user_action = last_user_action - interval '31 minutes'`)
		if _, err := p.Accounts.List(t.Context(), who); err != nil {
			t.Fatal(err)
		}
		if list, _ := p.Accounts.List(t.Context(), who); len(list) != 0 {
			t.Error("an idle session still sees rows")
		}
		want(t, enter(t, p, token, true), problem.SignIn, "idle")

		// Polling does not keep it alive, a person's action does.
		token = signIn(t, p, "anna")
		p.Exec(t, `UPDATE sec.session SET last_user_action = last_user_action - interval '20 minutes' WHERE revoked_at IS NULL`)
		if err := enter(t, p, token, false); err != nil {
			t.Fatal(err)
		}
		if n := p.Count(t, `SELECT count(*) FROM sec.session WHERE revoked_at IS NULL AND last_user_action > now() - interval '1 minute'`); n != 0 {
			t.Error("polling counted as an action")
		}
		if err := enter(t, p, token, true); err != nil {
			t.Fatal(err)
		}
		if n := p.Count(t, `SELECT count(*) FROM sec.session WHERE revoked_at IS NULL AND last_user_action > now() - interval '1 minute'`); n != 1 {
			t.Error("an action did not count")
		}

		// Twelve hours are the end even of a busy one.
		p.Exec(t, `UPDATE sec.session SET absolute_expiry = now() - interval '1 second' WHERE revoked_at IS NULL`)
		want(t, enter(t, p, token, true), problem.SignIn, "expired")

		token = signIn(t, p, "anna")
		if err := p.Authn.SignOut(t.Context(), p.Enter(t, token)); err != nil {
			t.Fatal(err)
		}
		want(t, enter(t, p, token, true), problem.SignIn, "signed_out")

		token = signIn(t, p, "anna")
		p.Exec(t, `UPDATE sec.account SET state = 'disabled' WHERE login = 'anna'`)
		want(t, enter(t, p, token, true), problem.SignIn, "revoked")
		_, err := p.Authn.SignIn(t.Context(), "anna", secret.New(password), here("10.0.0.1"))
		want(t, err, problem.Refused, "")
		for _, junk := range []string{"", "zz", strings.Repeat("ab", 32), "' OR 1=1 --"} {
			want(t, enter(t, p, secret.New(junk), true), problem.SignIn, "unknown")
		}
	})
}

func TestGuessingIsSlow(t *testing.T) {
	each(t, func(t *testing.T, p *servertest.Practice) {
		admin(t, p)
		attempt := func(login, pw, ip string) error {
			_, err := p.Authn.SignIn(t.Context(), login, secret.New(pw), here(ip))
			return err
		}
		var wg sync.WaitGroup
		for range 8 { // at once: none may slip through before the others count
			wg.Go(func() { _ = attempt("anna", "falsch", "10.6.6.6") })
		}
		wg.Wait()
		err := attempt("anna", password, "10.6.6.6")
		want(t, err, problem.Throttled, "")
		if wait := problem.As(err).RetryAfter; wait < time.Second || wait > 5*time.Minute {
			t.Errorf("wait %s", wait)
		}
		if n := p.Count(t, `SELECT count(*) FROM sec.login_attempt WHERE outcome = 'refused' AND ip = '10.6.6.6'`); n > 4 {
			t.Errorf("%d guesses were tried at once", n)
		}
		if err := attempt("anna", password, "10.0.0.1"); err != nil { // nobody locks another person out
			t.Errorf("from her own address: %v", err)
		}
		for range 5 {
			_ = attempt("niemand", "falsch", "10.6.6.7")
		}
		want(t, attempt("niemand", "falsch", "10.6.6.7"), problem.Throttled, "") // unknown logins behave alike
		p.Exec(t, `UPDATE sec.login_attempt SET at = at - interval '16 minutes'`)
		if err := attempt("anna", password, "10.6.6.6"); err != nil {
			t.Errorf("after a while: %v", err)
		}
		p.Exec(t, `INSERT INTO sec.login_attempt (login, ip, outcome) SELECT 'n' || n, '10.6.6.8', 'refused' FROM generate_series(1, 200) n`)
		want(t, attempt("anna", password, "10.6.6.8"), problem.Throttled, "") // one address, many logins
	})
}

func TestOldHashesAreRenewedAtSignIn(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	admin(t, p)
	// "argon2 0123456789abcdef -id -t 2 -k 19456 -p 1" of the same password, as another version would have stored it.
	weak, err := authn.HashWith(t.Context(), password, 19456, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.Exec(t, `UPDATE sec.credential SET pw_hash = $1`, weak)
	signIn(t, p, "anna")
	if n := p.Count(t, `SELECT count(*) FROM sec.credential WHERE pw_hash LIKE '$argon2id$v=19$m=65536,t=3,p=4$%'`); n != 1 {
		t.Error("the hash was not renewed")
	}
	signIn(t, p, "anna")
}

func TestChangingThePasswordEndsOtherSessions(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	here := admin(t, p)
	elsewhere := signIn(t, p, "anna")
	want(t, p.Authn.ChangePassword(t.Context(), here, secret.New("falsch"), secret.New("ein anderer langer Satz")), problem.Refused, "")
	if err := p.Authn.ChangePassword(t.Context(), here, secret.New(password), secret.New("ein anderer langer Satz")); err != nil {
		t.Fatal(err)
	}
	want(t, enter(t, p, elsewhere, true), problem.SignIn, "revoked")
	if err := enter(t, p, here.Token, true); err != nil {
		t.Error(err)
	}
}

func TestACrowdOfGuessesIsNotHashedAtOnce(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	p.Exec(t, `INSERT INTO sec.login_attempt (login, ip, outcome) SELECT 'n' || n, '10.6.6.9', 'refused' FROM generate_series(1, 199) n`)
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			_, _ = p.Authn.SignIn(t.Context(), fmt.Sprintf("m%d", n), secret.New("falsch"), here("10.6.6.9"))
		})
	}
	wg.Wait()
	if n := p.Count(t, `SELECT count(*) FROM sec.login_attempt WHERE login LIKE 'm%'`); n < 1 || n > 3 {
		t.Errorf("%d passwords were hashed although one was left to this address", n)
	}
}

func TestGuessingTheOldPasswordIsSlow(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	anna := admin(t, p)
	var err error
	for n := 0; n < 8 && !problem.Is(err, problem.Throttled); n++ {
		err = p.Authn.ChangePassword(t.Context(), anna, secret.New("falsch"), secret.New("ein anderer langer Satz"))
	}
	want(t, err, problem.Throttled, "")
	if n := p.Count(t, `SELECT count(*) FROM audit.entry WHERE feature = 'auth.password' AND outcome = 'denied' AND actor IS NULL AND object_id = $1`, anna.Account.ID); n < 3 {
		t.Errorf("%d refusals are on record", n)
	}
	signIn(t, p, "anna") // nobody locks another person out: this is another address
}

func TestWhatIsNoLoginIsNotKept(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	for _, login := range []string{"Mein geheimes Passwort 17!", strings.Repeat("a", 1<<20), "a\x00b", ""} {
		_, err := p.Authn.SignIn(t.Context(), login, secret.New("x"), here(fmt.Sprintf("10.0.1.%d", len(login)%200)))
		want(t, err, problem.Refused, "")
		want(t, p.Authn.Activate(t.Context(), login, "AAAAA", secret.New(password), here(fmt.Sprintf("10.0.2.%d", len(login)%200))), problem.Refused, "")
	}
	if n := p.Count(t, `SELECT count(*) FROM sec.login_attempt WHERE login <> '?'`); n != 0 {
		t.Errorf("%d attempts keep what was typed", n)
	}
}

func TestUnknownLoginsTakeAsLong(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	admin(t, p)
	took := func(login string) (best time.Duration) {
		best = time.Hour
		for i := range 4 {
			start := time.Now()
			_, _ = p.Authn.SignIn(t.Context(), login, secret.New("falsch falsch"), here(fmt.Sprintf("10.1.%d.1", i)))
			best = min(best, time.Since(start))
		}
		return best
	}
	known, unknown := took("anna"), took("niemand")
	if unknown < known/2 || unknown > known*2 {
		t.Errorf("known %s, unknown %s", known, unknown)
	}
}

func TestRegistryEqualsTheDatabase(t *testing.T) {
	p := servertest.Start(t, testenv.PGMajors[0])
	c := p.Connect(t, "pm_migrate")
	for _, f := range authz.Features() {
		var same bool
		if err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM sec.feature WHERE key = $1 AND coalesce(module, '') = $2 AND scope_class = $3)`, f.Key, f.Module, f.Class).Scan(&same); err != nil || !same {
			t.Errorf("feature %+v: %v", f, err)
		}
	}
	for _, r := range authz.Roles() {
		if n := p.Count(t, `SELECT count(*) FROM sec.role WHERE key = $1 AND builtin`, r); n != 1 {
			t.Errorf("role %s is missing", r)
		}
	}
	if n, m := p.Count(t, `SELECT count(*) FROM sec.feature`), p.Count(t, `SELECT count(*) FROM sec.role`); n != len(authz.Features()) || m != len(authz.Roles()) {
		t.Errorf("the database has %d features and %d roles", n, m)
	}
}
