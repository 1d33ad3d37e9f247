package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) completionCmd() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return a.leaf(leaf{
		Use: "completion SHELL", Short: "Print a completion script for a shell",
		Long:     "Prints a script that completes commands, flags and their values in bash, zsh, fish or powershell.",
		Examples: []string{"practicectl completion bash > /etc/bash_completion.d/practicectl", "practicectl completion zsh > ~/.zfunc/_practicectl"},
		Args:     cobra.ExactArgs(1),
		Complete: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		NoJSON:   "the result is a script",
		Run: func(_ context.Context, r *run, args []string) error {
			root, w := r.cmd.Root(), r.app.Out
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return usageError(r.cmd, fmt.Errorf("no shell %q; there is %s", args[0], strings.Join(shells, ", ")))
		},
	})
}
