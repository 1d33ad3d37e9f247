package cli

import (
	"time"

	"github.com/spf13/pflag"
)

// globalFlags are the flags that every command has.
type globalFlags struct {
	prefix      string
	instance    string
	config      string
	output      string
	json        bool
	quiet       bool
	verbose     int
	color       string
	noColor     bool
	progress    string
	noInput     bool
	yes         bool
	dryRun      bool
	timeout     time.Duration
	lockTimeout time.Duration
	logFile     string
	cron        bool
}

// globalEnums are the allowed values of the persistent flags that have a fixed set.
var globalEnums = map[string][]string{
	"output":   {"text", "json", "jsonl"},
	"color":    {"auto", "always", "never"},
	"progress": {"auto", "bar", "plain", "json", "none"},
}

func (g *globalFlags) bind(f *pflag.FlagSet, getenv func(string) string) {
	env := func(name, otherwise string) string {
		if v := getenv("PRACTICE_" + name); v != "" {
			return v
		}
		return otherwise
	}
	f.StringVar(&g.prefix, "prefix", env("PREFIX", "/"), "root of the installation (env PRACTICE_PREFIX)")
	f.StringVarP(&g.instance, "instance", "i", env("INSTANCE", "main"), "instance on this machine (env PRACTICE_INSTANCE)")
	f.StringVarP(&g.config, "config", "c", env("CONFIG", ""), "configuration file instead of the instance's own (env PRACTICE_CONFIG)")
	f.StringVarP(&g.output, "output", "o", env("OUTPUT", "text"), "form of the result: text, json or jsonl")
	f.BoolVar(&g.json, "json", false, "same as --output json")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "say nothing but errors")
	f.CountVarP(&g.verbose, "verbose", "v", "say more; repeat for even more")
	f.StringVar(&g.color, "color", "auto", "colour: auto, always or never")
	f.BoolVar(&g.noColor, "no-color", false, "same as --color never")
	f.StringVar(&g.progress, "progress", "auto", "progress on stderr: auto, bar, plain, json or none")
	f.BoolVar(&g.noInput, "no-input", false, "never ask; fail where an answer would be needed")
	f.BoolVarP(&g.yes, "yes", "y", false, "answer yes to ordinary questions")
	f.BoolVarP(&g.dryRun, "dry-run", "n", false, "show what would be done and do nothing")
	f.DurationVar(&g.timeout, "timeout", 0, "give up after this time, such as 10m; 0 means never")
	f.DurationVar(&g.lockTimeout, "lock-timeout", 0, "wait this long for another run to end")
	f.StringVar(&g.logFile, "log-file", "", "also write the log to this file")
	f.BoolVar(&g.cron, "cron", false, "for unattended runs: silent on success, never asks")
}

// settle applies the short forms: --json, --no-color, --cron.
func (g *globalFlags) settle() {
	if g.json {
		g.output = "json"
	}
	if g.noColor {
		g.color = "never"
	}
	if g.cron {
		g.quiet, g.noInput, g.progress, g.color = true, true, "none", "never"
	}
}
