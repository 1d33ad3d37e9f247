package authn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/secret"
	"practicectl/server/authz"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// Options configures a Service.
type Options struct {
	Now      func() time.Time // nil: time.Now
	Parallel int              // passwords hashed at a time; 0: 4
}

// Service signs people in and out.
type Service struct {
	st    *store.Store
	hash  *hasher
	turns *turns
	now   func() time.Time
}

// New returns the service over a store.
func New(st *store.Store, o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	return &Service{st: st, hash: newHasher(o.Parallel), turns: newTurns(o.Parallel / 2), now: o.Now}
}

// Where is where a request comes from; it goes into the log and into the person's list of sign-ins.
type Where struct {
	IP      string
	Device  string
	Request uuid.UUID
}

func (w Where) anonymous() store.Session {
	return store.Session{IP: w.IP, Device: w.Device, Request: w.Request}
}

// SignIn proves login and password and opens a session; the token is shown to nobody else. Unknown logins take as long
// as wrong passwords. Problems: Refused, Throttled.
func (s *Service) SignIn(ctx context.Context, login string, password secret.Text, w Where) (secret.Text, error) {
	login = claimed(login)
	if len(password.Reveal()) > MaxPassword {
		password = secret.New("") // still hashed, so that it takes as long
	}
	done, err := s.turns.take(ctx, w.IP)
	if err != nil {
		return secret.Text{}, err
	}
	defer done()
	prefix, err := s.challenge(ctx, w, login)
	if err != nil {
		return secret.Text{}, err
	}
	phc, outdated, err := s.hash.answer(ctx, password.Reveal(), prefix)
	if err != nil {
		return secret.Text{}, err
	}
	var better *string
	if outdated {
		p, err := s.hash.fresh(ctx, password.Reveal())
		if err != nil {
			return secret.Text{}, err
		}
		better = &p
	}
	token := make([]byte, 32)
	if _, err := rand.Read(token); err != nil {
		return secret.Text{}, err
	}
	hash := sha256.Sum256(token)
	if err := s.decide(ctx, w, `SELECT outcome, wait_seconds FROM sec.sign_in($1, $2, $3, $4, nullif($5, '')::inet, $6)`, login, phc, better, hash[:], w.IP, w.Device); err != nil {
		return secret.Text{}, err
	}
	return secret.New(hex.EncodeToString(token)), nil
}

func (s *Service) challenge(ctx context.Context, w Where, login string) (prefix string, err error) {
	var wait int
	err = s.st.WithTx(ctx, w.anonymous(), func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT phc_prefix, wait_seconds FROM sec.challenge($1, nullif($2, '')::inet)`, login, w.IP).Scan(&prefix, &wait)
	})
	if err == nil && wait > 0 {
		err = &problem.Error{Code: problem.Throttled, RetryAfter: time.Duration(wait) * time.Second}
	}
	return prefix, err
}

// decide asks the database for its verdict; the attempt is on record whatever it is.
func (s *Service) decide(ctx context.Context, w Where, query string, args ...any) error {
	var outcome string
	var wait int
	err := s.st.WithTx(ctx, w.anonymous(), func(tx *store.Tx) error { return tx.QueryRow(ctx, query, args...).Scan(&outcome, &wait) })
	switch {
	case err != nil:
		return err
	case outcome == "throttled":
		return &problem.Error{Code: problem.Throttled, RetryAfter: time.Duration(wait) * time.Second}
	case outcome != "ok":
		return problem.New(problem.Refused, nil)
	}
	return nil
}

// entry is what sec.enter tells of a session.
type entry struct {
	Dead    string        `json:"dead"`
	Account authz.Account `json:"account"`
	Session struct {
		ID             uuid.UUID `json:"id"`
		LastUserAction time.Time `json:"last_user_action"`
		AbsoluteExpiry time.Time `json:"absolute_expiry"`
		IdleSeconds    int64     `json:"idle_seconds"`
	} `json:"session"`
	Grants map[string]authz.Grant `json:"grants"`
}

// Enter returns who is behind a token. active says that a person did something: that keeps the session from ending
// idle; polling in the background must not. Problem: SignIn with a reason.
func (s *Service) Enter(ctx context.Context, token secret.Text, active bool, w Where) (*authz.Caller, error) {
	if b, err := hex.DecodeString(token.Reveal()); err != nil || len(b) != 32 {
		return nil, &problem.Error{Code: problem.SignIn, Reason: "unknown"}
	}
	who := w.anonymous()
	who.Token = token
	var raw []byte
	err := s.st.WithTx(ctx, who, func(tx *store.Tx) error { return tx.QueryRow(ctx, `SELECT sec.enter($1)`, active).Scan(&raw) })
	if err != nil {
		return nil, err
	}
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	if e.Dead == "" {
		e.Dead = over(s.now(), e)
		if e.Dead != "" { // the database's clock has not noticed: end it there too
			if err := s.end(ctx, who, e.Dead); err != nil {
				return nil, err
			}
		}
	}
	if e.Dead != "" {
		return nil, &problem.Error{Code: problem.SignIn, Reason: e.Dead}
	}
	who.ID = e.Session.ID
	return &authz.Caller{Session: who, Account: e.Account, Grants: e.Grants, Idle: time.Duration(e.Session.IdleSeconds) * time.Second}, nil
}

func over(now time.Time, e entry) string {
	switch {
	case !now.Before(e.Session.AbsoluteExpiry):
		return "expired"
	case now.Sub(e.Session.LastUserAction) >= time.Duration(e.Session.IdleSeconds)*time.Second:
		return "idle"
	}
	return ""
}

// SignOut ends the caller's session.
func (s *Service) SignOut(ctx context.Context, who *authz.Caller) error {
	return s.end(ctx, who.Session, "signed_out")
}

func (s *Service) end(ctx context.Context, who store.Session, reason string) error {
	return s.st.WithTx(ctx, who, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `SELECT sec.sign_out($1)`, reason)
		return err
	})
}

// Activate sets the password of an account with its one-time code and ends every older session of it. Problems:
// Refused, Throttled, Invalid.
func (s *Service) Activate(ctx context.Context, login, code string, password secret.Text, w Where) error {
	login = claimed(login)
	if err := CheckPassword(password.Reveal(), login, ""); err != nil {
		return err
	}
	done, err := s.turns.take(ctx, w.IP)
	if err != nil {
		return err
	}
	defer done()
	if _, err := s.challenge(ctx, w, login); err != nil { // whoever must wait is not hashed for
		return err
	}
	phc, err := s.hash.fresh(ctx, password.Reveal())
	if err != nil {
		return err
	}
	return s.decide(ctx, w, `SELECT outcome, wait_seconds FROM sec.activate($1, $2, $3, nullif($4, '')::inet, $5)`, login, codeHash(code), phc, w.IP, w.Device)
}

// ChangePassword replaces the caller's own password and ends the caller's other sessions. Problems: Refused, Throttled, Invalid.
func (s *Service) ChangePassword(ctx context.Context, who *authz.Caller, old, new secret.Text) error {
	if err := CheckPassword(new.Reveal(), who.Account.Login, who.Account.Name); err != nil {
		return err
	}
	done, err := s.turns.take(ctx, who.IP)
	if err != nil {
		return err
	}
	defer done()
	prefix, err := s.challenge(ctx, Where{IP: who.IP, Device: who.Device, Request: who.Request}, who.Account.Login)
	if err != nil {
		return err
	}
	was, _, err := s.hash.answer(ctx, old.Reveal(), prefix)
	if err != nil {
		return err
	}
	phc, err := s.hash.fresh(ctx, new.Reveal())
	if err != nil {
		return err
	}
	var ok bool
	err = s.st.WithTx(ctx, who.Session, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT sec.change_password($1, $2)`, was, phc).Scan(&ok)
	})
	if err == nil && !ok {
		err = problem.New(problem.Refused, errors.New("old password"))
	}
	return err
}

// Normal is how logins are compared and stored.
func Normal(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

// maxLogin is the longest login, in bytes.
const maxLogin = 64

// claimed is Normal of what somebody typed as a login; what cannot be one is "?", which is nobody. So the log of attempts
// holds neither endless texts nor most of the passwords that people type into the wrong field.
func claimed(login string) string {
	login = Normal(login)
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._@+-", r)
	}
	if login == "" || len(login) > maxLogin || strings.ContainsFunc(login, bad) {
		return "?"
	}
	return login
}

// codes avoids letters that look like digits.
var codes = base32.NewEncoding("ABCDEFGHJKMNPQRSTVWXYZ2345678901").WithPadding(base32.NoPadding) //nolint:gochecknoglobals // constant

// NewCode returns a one-time activation code of 100 bits, "ABCDE-FGHJK-MNPQR-STVWX", and its hash for the database.
func NewCode() (code string, hash []byte, err error) {
	raw := make([]byte, 13)
	if _, err := rand.Read(raw); err != nil {
		return "", nil, err
	}
	c := codes.EncodeToString(raw)[:20]
	code = c[:5] + "-" + c[5:10] + "-" + c[10:15] + "-" + c[15:]
	return code, codeHash(code), nil
}

// codeHash forgives case, blanks and dashes: people type codes from paper.
func codeHash(code string) []byte {
	var b strings.Builder
	for _, r := range strings.ToUpper(code) {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return sum[:]
}
