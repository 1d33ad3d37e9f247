package api

import (
	"practicectl/internal/api"
	"practicectl/internal/secret"
	"practicectl/server/gate"
	"practicectl/server/store"
)

func signIn(c *call) (any, error) {
	var in api.SignIn
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if !in.Bearer {
		_, err := c.gate.SignIn(c.w, c.r, in.Login, secret.New(in.Password), in.Device)
		return api.SignedIn{}, err
	}
	token, err := c.svc.Authn.SignIn(c.ctx, in.Login, secret.New(in.Password), gate.Where(c.r, in.Device))
	return api.SignedIn{Token: token.Reveal()}, err
}

func signOut(c *call) (any, error) { return nil, c.gate.SignOut(c.w, c.r) }

func activate(c *call) (any, error) {
	return withBody(c, func(in api.Activate) (any, error) {
		return nil, c.svc.Authn.Activate(c.ctx, in.Login, in.Code, secret.New(in.Password), gate.Where(c.r, ""))
	})
}

func me(c *call) (any, error) {
	a := c.who.Account
	err := c.svc.Store.WithTx(c.ctx, c.who.Session, func(tx *store.Tx) error {
		return tx.Audit(c.ctx, store.Entry{Feature: "auth.me", Action: store.Read, Kind: "account", Object: a.ID})
	})
	if err != nil {
		return nil, err
	}
	out := api.Me{ID: a.ID, Number: a.Number, Login: a.Login, Name: a.Name, Roles: append([]string{}, a.Roles...), Modules: append([]string{}, a.Modules...), Grants: map[string]api.Grant{}}
	for feature, g := range c.who.Grants {
		actions := make([]string, len(g.Actions))
		for i, v := range g.Actions {
			actions[i] = string(v)
		}
		out.Grants[feature] = api.Grant{Scope: string(g.Scope), Actions: actions}
	}
	return out, nil
}

func changePassword(c *call) (any, error) {
	return withBody(c, func(in api.ChangePassword) (any, error) {
		return nil, c.svc.Authn.ChangePassword(c.ctx, c.who, secret.New(in.Old), secret.New(in.New))
	})
}

func listAccounts(c *call) (any, error) { return c.svc.Accounts.List(c.ctx, c.who) }

func addAccount(c *call) (any, error) {
	return withBody(c, func(in api.NewAccount) (any, error) { return c.svc.Accounts.Add(c.ctx, c.who, in) })
}
