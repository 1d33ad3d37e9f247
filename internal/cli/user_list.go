package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/api"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// caFile is the practice's own certificate authority, the only one that its admin commands trust.
func caFile(l paths.Layout) string { return filepath.Join(l.Cred(), "ca.crt") }

func (a *app) userListCmd() *cobra.Command {
	var as, passwordFile string
	return a.leaf(leaf{
		Use: "list", Short: "List the people who can sign in",
		Long:     `Lists the accounts of the practice with their roles and when they were last used.`,
		Examples: []string{"practicectl user list --as anna", "practicectl user list --as anna --password-file - --json"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Precond, uerr.Unreachable, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&as, "as", "", "login to ask as (required)")
			f.StringVar(&passwordFile, "password-file", "", "file with the password of --as, - for stdin")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			c, err := r.signIn(ctx, as, passwordFile)
			if err != nil {
				return err
			}
			var list []api.Account
			err = c.Do(ctx, http.MethodGet, "/api/v1/accounts", nil, &list)
			if err := errors.Join(err, c.SignOut(context.WithoutCancel(ctx))); err != nil {
				return err
			}
			return r.result(map[string]any{"schema": resultSchema, "accounts": list}, func(w io.Writer) { showUsers(w, list) })
		},
	})
}

func showUsers(w io.Writer, list []api.Account) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NO.\tLOGIN\tNAME\tROLES\tSTATE\tLAST USED")
	for _, a := range list {
		last := "never"
		if a.LastActiveAt != nil {
			last = a.LastActiveAt.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", a.Number, a.Login, a.Name, strings.Join(a.Roles, ", "), a.State, last)
	}
	_ = t.Flush() // a writer that fails says so at the next write
}
