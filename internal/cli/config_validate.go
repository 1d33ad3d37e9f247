package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
)

func (a *app) configValidateCmd() *cobra.Command {
	return a.leaf(leaf{
		Use: "validate", Short: "Check the configuration file",
		Long:     "Checks the configuration file of the instance and names every mistake with its line.",
		Examples: []string{"practicectl config validate", "practicectl config validate --config ./practice.toml"},
		Args:     cobra.NoArgs,
		NoFiles:  true,
		Exits:    []uerr.Kind{uerr.NotFound},
		Run: func(_ context.Context, r *run, _ []string) error {
			path, err := r.configPath()
			if err != nil {
				return err
			}
			if _, err := r.config(); err != nil {
				return err
			}
			return r.result(map[string]any{"file": path, "valid": true}, func(w io.Writer) { fmt.Fprintf(w, "%s is valid\n", path) })
		},
	})
}
