package web

import (
	"net/http"
	"slices"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/problem"
)

// sharing is the page on which a record is shared, in two steps: choose, then confirm the names.
type sharing struct {
	P        api.Patient
	Accounts []api.Account // who does not see it yet
	Shares   []api.Share
	Everyone bool
	Chosen   []api.Account
	Confirm  bool
}

// mayShare tells whether sharing is offered: to the owner and to whoever sees every record.
func (p *page) mayShare(v api.Patient) bool {
	return p.who.Can(authz.Shares, authz.Add) && (v.OwnerID == p.who.Account.ID || p.who.Scope(authz.Shares) == authz.ScopeAll)
}

func (p *page) sharing() (sharing, error) {
	var d sharing
	id, err := p.id()
	if err != nil {
		return d, err
	}
	if d.P, err = p.svc.Records.Get(p.ctx, p.who, id); err != nil {
		return d, err
	}
	if !p.mayShare(d.P) {
		return d, problem.New(problem.Forbidden, nil)
	}
	if d.Shares, err = p.svc.Records.Shares(p.ctx, p.who, id); err != nil {
		return d, err
	}
	accounts, err := p.svc.Accounts.List(p.ctx, p.who)
	for _, a := range accounts {
		if a.Kind == "staff" && a.State != "disabled" && a.ID != d.P.OwnerID && !d.sharedWith(a.ID) {
			d.Accounts = append(d.Accounts, a)
		}
	}
	return d, err
}

func (d sharing) sharedWith(id uuid.UUID) bool {
	return slices.ContainsFunc(d.Shares, func(s api.Share) bool { return s.Grantee != nil && *s.Grantee == id })
}

// WithEveryone tells whether the record is shared with everybody already.
func (d sharing) WithEveryone() bool {
	return slices.ContainsFunc(d.Shares, func(s api.Share) bool { return s.Grantee == nil })
}

func shareForm(p *page) error {
	d, err := p.sharing()
	if err != nil {
		return err
	}
	return p.show(screen{name: "share", title: "share.title", section: "patients", data: d})
}

func sharePatient(p *page) error {
	d, err := p.sharing()
	if err != nil {
		return err
	}
	r := api.ShareRequest{Everyone: p.form.Get("everyone") == "1"}
	for _, v := range p.form.Values["account"] {
		i := slices.IndexFunc(d.Accounts, func(a api.Account) bool { return a.ID.String() == v })
		if i < 0 {
			return problem.Field("account", "invalid")
		}
		r.Accounts = append(r.Accounts, d.Accounts[i].ID)
		d.Chosen = append(d.Chosen, d.Accounts[i])
	}
	d.Everyone = r.Everyone
	if !r.Everyone && len(r.Accounts) == 0 {
		return p.show(screen{name: "share", title: "share.title", section: "patients", alert: "share.nobody", status: http.StatusUnprocessableEntity, data: d})
	}
	if p.form.Get("confirmed") != "yes" {
		d.Confirm = true
		return p.show(screen{name: "share", title: "share.title", section: "patients", data: d})
	}
	if err := p.svc.Records.Share(p.ctx, p.who, d.P.ID, r); err != nil {
		return err
	}
	return p.see("/patients/"+d.P.ID.String(), "share")
}
