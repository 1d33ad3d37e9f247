package cli

import (
	"context"
	"io"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
)

func (a *app) configShowCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "show", Short: "Show the settings in force, defaults included",
		Long:     "Shows every setting of the instance as it is in force. Secrets are not part of the configuration.",
		Examples: []string{"practicectl config show", "practicectl config show --prefix ~/practice --json"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound},
		Run: func(_ context.Context, r *run, _ []string) error {
			f, err := r.config()
			if err != nil {
				return err
			}
			text, err := toml.Marshal(f)
			if err != nil {
				return err
			}
			return r.result(f, func(w io.Writer) { _, _ = w.Write(text) })
		},
	})
}
