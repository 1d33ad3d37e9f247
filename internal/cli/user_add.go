package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/api"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// userAdded is the result of "user add". The code is shown this once.
type userAdded struct {
	ID             string    `json:"id"`
	Number         int       `json:"number"`
	Login          string    `json:"login"`
	Role           string    `json:"role"`
	ActivationCode string    `json:"activation_code,omitempty"` // absent when the password was set at once
	Expires        time.Time `json:"expires"`
}

type userAdd struct {
	first        bool
	account      api.NewAccount
	as           string
	passwordFile string
}

func (a *app) userAddCmd() *cobra.Command {
	var o userAdd
	return a.leaf(leaf{
		Use: "add", Short: "Add somebody who can sign in",
		Long: `Adds an account and prints a one-time activation code. With the code, within 72 hours, its person chooses a password that
nobody else ever sees.

The first administrator of a practice is made with --first, on the server host, by the account that runs the server.
Later accounts are added by an administrator who signs in: --as LOGIN.`,
		Examples: []string{
			`practicectl user add --first --login anna --name "Dr. Anna Berg"`,
			"practicectl user add --login ute --name \"Ute Lang\" --role secretariat --as anna --password-file pw.txt",
		},
		Args:    cobra.NoArgs,
		NoFiles: true,
		Exits:   []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Precond, uerr.Unreachable, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.BoolVar(&o.first, "first", false, "make the practice's first administrator, over the local socket")
			f.StringVar(&o.account.Login, "login", "", "what the person types to sign in (required)")
			f.StringVar(&o.account.Name, "name", "", "the person's name (required)")
			f.StringVar(&o.account.Title, "title", "", "academic title")
			f.StringVar(&o.account.Email, "email", "", "e-mail address")
			f.StringVar(&o.account.Role, "role", "", "role; group_admin with --first, else member")
			f.StringVar(&o.as, "as", "", "login of the administrator who adds the account")
			f.StringVar(&o.passwordFile, "password-file", "", "file with the password of --as, - for stdin; with --first: the new administrator's own, set at once")
		},
		Enums: map[string][]string{"role": {"group_admin", "member", "secretariat", "owner", "manager", "staff_administrator", "records_custodian", "supervisor", "therapist", "biller", "scheduler"}},
		Run: func(ctx context.Context, r *run, _ []string) error {
			if o.account.Login == "" || o.account.Name == "" {
				return usageError(r.cmd, errors.New("--login and --name are needed"))
			}
			if !o.first && o.account.Role == "" {
				o.account.Role = "member"
			}
			if r.dryRun() {
				return r.result(map[string]any{"dry_run": true, "account": o.account, "first": o.first}, func(w io.Writer) {
					fmt.Fprintf(w, "would add %s (%s)\n", o.account.Login, o.account.Name)
				})
			}
			added, err := r.addUser(ctx, o)
			if err != nil {
				return err
			}
			return r.result(added, func(w io.Writer) { showAdded(w, added) })
		},
	})
}

func showAdded(w io.Writer, u userAdded) {
	fmt.Fprintf(w, "Added %s as %s, account number %d.\n", u.Login, u.Role, u.Number)
	if u.ActivationCode == "" {
		fmt.Fprintln(w, "The password is set.")
		return
	}
	fmt.Fprintf(w, "One-time code  %s\n", u.ActivationCode)
	fmt.Fprintf(w, "Good until     %s. Hand it over in person; it is not shown again.\n", u.Expires.Local().Format("2006-01-02 15:04"))
}

func (r *run) addUser(ctx context.Context, o userAdd) (userAdded, error) {
	if o.first {
		return r.addFirst(ctx, o)
	}
	c, err := r.signIn(ctx, o.as, o.passwordFile)
	if err != nil {
		return userAdded{}, err
	}
	var inv api.Invitation
	err = c.Do(ctx, http.MethodPost, "/api/v1/accounts", o.account, &inv)
	return added(inv, o.account.Role), errors.Join(err, c.SignOut(context.WithoutCancel(ctx)))
}

func added(inv api.Invitation, role string) userAdded {
	return userAdded{ID: inv.ID.String(), Number: inv.Number, Login: inv.Login, Role: role, ActivationCode: inv.Code, Expires: inv.Expires}
}

func (r *run) addFirst(ctx context.Context, o userAdd) (userAdded, error) {
	const role = "group_admin"
	if o.as != "" || o.account.Role != "" && o.account.Role != role {
		return userAdded{}, usageError(r.cmd, errors.New("--first makes a group_admin and needs no --as"))
	}
	var password secret.Text
	if o.passwordFile != "" {
		var err error
		if password, err = r.readSecret("password-file", "Password", o.passwordFile); err != nil {
			return userAdded{}, err
		}
	}
	l, err := r.layout()
	if err != nil {
		return userAdded{}, err
	}
	c := api.NewLocalClient(l.AdminSocket())
	var inv api.Invitation
	if err := c.Do(ctx, http.MethodPost, "/v1/first-admin", api.FirstAdmin{Login: o.account.Login, Name: o.account.Name}, &inv); err != nil {
		if uerr.KindOf(err) == uerr.Precond {
			err = uerr.New(uerr.Precond, "make the first administrator", "", errors.New("the practice has an administrator already"), "practicectl user add --as LOGIN")
		}
		return userAdded{}, err
	}
	out := added(inv, role)
	if !password.Empty() {
		if err := c.Do(ctx, http.MethodPost, "/v1/activate", api.Activate{Login: inv.Login, Code: inv.Code, Password: password.Reveal()}, nil); err != nil {
			return out, err
		}
		out.ActivationCode = ""
	}
	return out, nil
}

// signIn returns a client of the instance's server, signed in as login.
func (r *run) signIn(ctx context.Context, login, passwordFile string) (*api.Client, error) {
	if login == "" {
		return nil, usageError(r.cmd, errors.New("--as LOGIN is missing: who asks?"))
	}
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	f, err := r.config()
	if err != nil {
		return nil, err
	}
	password, err := r.readSecret("password-file", "Password of "+login, passwordFile)
	if err != nil {
		return nil, err
	}
	c, err := api.NewClient(f.Server.URL, caFile(l))
	if err != nil {
		return nil, err
	}
	return c, c.SignIn(ctx, login, password)
}
