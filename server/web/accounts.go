package web

import (
	"net/http"
	"slices"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
)

func listAccounts(p *page) error {
	if err := p.who.Require(authz.Accounts, authz.View); err != nil {
		return err
	}
	list, err := p.svc.Accounts.List(p.ctx, p.who)
	if err != nil {
		return err
	}
	return p.show(screen{name: "accounts", title: "accounts.title", section: "accounts", data: list})
}

// accountForm is the form of a new account; Done is set once it is made, with the code that is shown only then.
type accountForm struct {
	A     api.NewAccount
	Roles []option
	Done  *api.Invitation
}

// roles is what the caller may hand out: only a group admin makes people who administer others or read every note.
func (p *page) roles() []option {
	var out []option
	for _, r := range authz.Roles() {
		if p.who.HasRole("group_admin") || !slices.Contains([]string{"group_admin", "owner", "manager", "records_custodian"}, r) {
			out = append(out, option{r, p.lang.say("role", r)})
		}
	}
	return out
}

func newAccount(p *page) error {
	if err := p.who.Require(authz.Accounts, authz.Add); err != nil {
		return err
	}
	return p.show(screen{name: "accountform", title: "account.new", section: "accounts", data: accountForm{A: api.NewAccount{Role: authz.DefaultRole}, Roles: p.roles()}})
}

func addAccount(p *page) error {
	f := p.form
	d := accountForm{A: api.NewAccount{Login: f.text("login"), Name: f.text("name"), Title: f.text("title"), Email: f.text("email"), Role: f.text("role")}, Roles: p.roles()}
	inv, err := p.svc.Accounts.Add(p.ctx, p.who, d.A)
	s := screen{name: "accountform", title: "account.new", section: "accounts"}
	errs, bad := invalid(err)
	switch {
	case bad:
		s.errors, s.status = errs, http.StatusUnprocessableEntity
	case problem.Is(err, problem.Conflict):
		s.errors, s.status = map[string]string{"login": "login_taken"}, problem.Conflict.Status()
	case err != nil:
		return err
	default: // not a redirect: the code must not stand in an address, and is shown once
		d.Done, s.status = &inv, http.StatusCreated
	}
	s.data = d
	return p.show(s)
}
