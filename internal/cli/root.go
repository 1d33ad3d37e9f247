package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"practicectl/internal/buildinfo"
)

const rootLong = `practicectl installs, backs up, restores and updates a practice: the PostgreSQL database, the core
server and the client modules, on one machine or on twenty, with or without internet.

Backups are encrypted for age public keys; this machine holds no key that opens them. Updates are signed
by the vendor and verified here, whatever mirror or medium they came through.`

func (a *app) rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:               Program,
		Short:             "Install, back up, restore and update a practice",
		Long:              rootLong,
		Version:           buildinfo.Version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if args[0] == "upgrade" {
				return usageError(c, errors.New(`there is no "upgrade": to bring the installed components to a newer release, type: practicectl update apply`))
			}
			return usageError(c, unknownCommand(c, args[0]))
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	a.global.bind(root.PersistentFlags(), a.Getenv)
	for name, values := range globalEnums {
		if err := root.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // globalEnums names a flag that does not exist: found by every test that builds the tree
		}
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError(c, suggestFlag(c, err)) })
	root.SetHelpTemplate(helpTemplate)
	root.SetHelpFunc(a.help(root.HelpFunc()))
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommand(helpCmd())
	root.AddCommand(a.commands()...)
	root.AddCommand(a.exitCodesTopic(), a.environmentTopic(), a.cronTopic())
	return root
}

// help shows the page of a command, or notes that "practicectl bakup run -h" asks for one that does not exist.
func (a *app) help(show func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(c *cobra.Command, args []string) {
		if words := c.Flags().Args(); c.HasSubCommands() && len(words) > 0 {
			a.wrong = usageError(c, unknownCommand(c, words[0]))
			return
		}
		var page bytes.Buffer
		out := c.OutOrStdout()
		c.SetOut(&page)
		show(c, args)
		c.SetOut(out)
		const noise = "[=true|false]" // of every flag that takes no value
		_, _ = io.WriteString(out, strings.ReplaceAll(page.String(), noise, strings.Repeat(" ", len(noise))))
	}
}

// helpTemplate puts the examples first.
const helpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}

{{end}}{{if .HasExample}}Examples:
{{.Example}}

{{end}}{{if .Runnable}}Usage:
  {{.UseLine}}

{{end}}{{if .HasAvailableSubCommands}}Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}

{{end}}{{if .HasAvailableLocalFlags}}Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}

{{end}}{{with index .Annotations "practicectl/exits"}}Exit codes:
  {{.}}   (meaning: practicectl help exit-codes)

{{end}}{{if .HasAvailableInheritedFlags}}Flags of every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if not .HasParent}}More: practicectl help exit-codes, practicectl help environment, practicectl help cron
{{end}}`

// suggestFlag adds the nearest flag to "unknown flag: --recpient".
func suggestFlag(c *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return err
	}
	if near := nearestFlag(c, name); near != "" {
		return errors.New(err.Error() + ", did you mean --" + near + "?")
	}
	return err
}

// helpCmd is cobra's own, but a topic that does not exist is an error.
func helpCmd() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|TOPIC]", Short: "Show the help of a command or a topic",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageError(c.Root(), unknownCommand(c.Root(), strings.Join(args, " ")))
			}
			return found.Help()
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}
