package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"practicectl/internal/uerr"
)

// topic is a page of the help. It has no Run, so it is no command.
func topic(name, short, long string) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, Long: long}
	c.SetHelpTemplate("{{.Long}}\n")
	return c
}

func (a *app) exitCodesTopic() *cobra.Command {
	var b strings.Builder
	fmt.Fprintln(&b, "Exit codes are stable: scripts may rely on them. Treat a code that you do not know as a failure.")
	fmt.Fprintln(&b, "\n    0  done, or nothing to do")
	for _, k := range uerr.Kinds {
		fmt.Fprintf(&b, "  %3d  %s\n", k.Exit, k.Meaning)
		if k.Exit == 1 {
			fmt.Fprintln(&b, "    2  the program itself crashed (reserved)")
		}
	}
	return topic("exit-codes", "What the exit codes mean", b.String())
}

func (a *app) environmentTopic() *cobra.Command {
	return topic("environment", "Environment variables that are read", `Flags win over the environment, the environment over practice.toml, and that over the defaults.
Secrets are never read from the environment.

  PRACTICE_PREFIX     root of the installation (--prefix)
  PRACTICE_INSTANCE   instance on this machine (--instance)
  PRACTICE_CONFIG     configuration file (--config)
  PRACTICE_OUTPUT     text, json or jsonl (--output)
  NO_COLOR            no colour when not empty
  CLICOLOR_FORCE      colour even where there is no terminal; FORCE_COLOR does the same
  TERM                "dumb": no colour and no progress bar
  HTTPS_PROXY         proxy on the way to releases, mirrors and stores; also HTTP_PROXY and NO_PROXY

Of the demo only:

  PRACTICE_PG_BIN     folder of PostgreSQL's programs (--pg-bin)
  PRACTICE_PG_DIST    npm tarball of PostgreSQL (--pg-dist)
  PRACTICE_TOOLS      folder of tools that are fetched or built once`)
}

func (a *app) cronTopic() *cobra.Command {
	return topic("cron", "Unattended runs", `With --cron a command is silent when it succeeds, never asks, shows no progress and no colour.
When it fails it prints the error and exits with a code from "practicectl help exit-codes",
so that cron or systemd tells the administrator. A second run while the first still works
exits with 11 and changes nothing.

  practicectl schedule install          writes the timer or the crontab entry for you
  practicectl backup run --cron         what it runs`)
}
