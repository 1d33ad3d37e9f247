package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"practicectl/internal/notify"
	"practicectl/internal/uerr"
)

func (a *app) notifyCheckCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "check", Short: "Send one message of each kind that is configured",
		Long: `Sends a test mail and a ping without consequences ("log") to the dead-man switch, whatever [notify] names, and says what
arrived at their servers. It fails when one of them cannot be reached.`,
		Examples: []string{"practicectl notify check", "practicectl notify check --json"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Precond, uerr.Unreachable},
		Run: func(ctx context.Context, r *run, _ []string) error {
			l, err := r.layout()
			if err != nil {
				return err
			}
			c, err := r.config()
			if err != nil {
				return err
			}
			h, err := r.herald(l, c)
			if err != nil {
				return err
			}
			res := map[string]bool{}
			var errs []error
			send := func(name string, wanted bool, do func() error) {
				if !wanted {
					return
				}
				if !r.dryRun() {
					err := do()
					errs = append(errs, err)
					res[name] = err == nil
				} else {
					res[name] = false
				}
			}
			send("ping", !h.ping.URL.Empty(), func() error {
				return h.ping.End(ctx, notify.Event{Job: "backup", Run: "test", Skipped: true}, uuid.NewString(), []string{"test"})
			})
			send("mail", h.mail != nil, func() error { return h.mail.Send(ctx, h.place.Test()) })
			if len(res) == 0 {
				return uerr.New(uerr.Precond, "send test messages", "", errors.New("[notify] names nobody"), "set notify.ping or notify.smtp in practice.toml")
			}
			if err := r.result(res, func(w io.Writer) {
				for _, name := range []string{"ping", "mail"} {
					if sent, ok := res[name]; ok {
						fmt.Fprintln(w, name, map[bool]string{true: "sent", false: "not sent"}[sent])
					}
				}
			}); err != nil {
				return err
			}
			for _, err := range errs {
				if err != nil {
					return err
				}
			}
			return nil
		},
	})
}
