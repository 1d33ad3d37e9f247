package cli

import "github.com/spf13/cobra"

// commands is the command tree below the root, in the order of the help. A command that is not built does not exist.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.group("config", "Show and check the configuration", "The one configuration file of an instance, practice.toml.",
			a.configShowCmd(), a.configValidateCmd()),
		a.versionCmd(),
		a.completionCmd(),
		a.manCmd(),
	}
}
