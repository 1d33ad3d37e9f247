package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/installer"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
	"practicectl/release"
)

type installOptions struct {
	want     installer.Desired
	modules  []string
	detailed bool
	digest   string
}

func (a *app) installCmd() *cobra.Command {
	var o installOptions
	return a.leaf(leaf{
		Use: "install [COMPONENT...]", Short: "Install database, server and chosen client modules",
		Long: `Makes this machine what you ask for: a server (database, core server) or a workstation (client), with the client modules
you choose and everything they require. Components come from a release source, a folder or the address of a mirror, and
are verified before the first byte is used.

Every step looks before it acts. A second run changes nothing; a run after a crash goes on where the first one ended; a
run that fails leaves the machine as it was. What is asked for once is remembered: the flags are needed the first time only.
An existing database is adopted, never overwritten.

The services run as the user who installs, supervised by "practicectl agent run". Root is refused.`,
		Examples: []string{
			"practicectl install --prefix ~/practice --from http://mirror.lan:8080 --name 'Praxis Dr. Huber'",
			"practicectl install --profile workstation --module frontdesk,clinical --from /media/usb/repo",
			"practicectl install --dry-run --detailed-exitcode"},
		Args: cobra.ArbitraryArgs,
		Complete: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return release.Components(), cobra.ShellCompDirectiveNoFileComp
		},
		Exits: []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.Pending, uerr.Interrupted,
			uerr.Terminated},
		Enums: map[string][]string{"profile": installer.Profiles(), "provider": {pgcluster.ProviderSystem, pgcluster.ProviderBundled},
			"channel": {release.Stable, release.LTS, release.Beta}, "mode": {"online", "lan", "airgap"}, "language": {"de", "en"}},
		Flags: o.flags,
		Run: func(ctx context.Context, r *run, args []string) error {
			d, err := o.desired(r, args)
			if err != nil {
				return err
			}
			return r.install(ctx, d, o.digest, o.detailed)
		},
	})
}

func (o *installOptions) flags(f *pflag.FlagSet) {
	w := &o.want
	f.StringVar(&w.Profile, "profile", "", "what this machine is for: server or workstation; default: server")
	f.StringSliceVar(&o.modules, "module", nil, "client module to install, such as frontdesk; repeat or separate by commas")
	f.StringVar(&w.Source, "from", "", "release source: folder or http(s) address")
	f.StringVar(&w.Version, "to", "", "version of the product instead of the newest")
	f.StringVar(&w.Channel, "channel", "", "channel to follow: stable, lts or beta")
	f.StringVar(&w.Mode, "mode", "", "how old signatures may be: online, lan or airgap")
	f.StringVar(&w.Provider, "provider", "", "where PostgreSQL comes from: system or bundled; default: system")
	f.StringVar(&w.PGBin, "db-bin", "", "folder of initdb, pg_ctl and postgres, with --provider system")
	f.IntVar(&w.PGPort, "db-port", 0, "port that names the database's socket; TCP stays closed")
	f.StringVar(&w.Listen, "listen", "", "address of the core server, such as 0.0.0.0:8443")
	f.StringVar(&w.URL, "url", "", "what people and clients type to reach the core server")
	f.StringVar(&w.Practice.Name, "name", "", "name of the practice")
	f.StringVar(&w.Practice.Language, "language", "", "language of the practice: de or en")
	f.StringVar(&w.Practice.Timezone, "timezone", "", "time zone of the practice, such as Europe/Vienna")
	f.StringVar(&w.Practice.Currency, "currency", "", "currency of the practice, such as EUR")
	f.BoolVar(&o.detailed, "detailed-exitcode", false, "with --dry-run: exit 20 when there is something to do")
	f.StringVar(&o.digest, "plan-digest", "", "install only if the plan still has this digest")
}

// desired is what is on the machine, changed by the flags that were given.
func (o *installOptions) desired(r *run, args []string) (installer.Desired, error) {
	if err := installer.RefuseRoot(os.Geteuid(), r.asUser()); err != nil {
		return installer.Desired{}, err
	}
	w := o.want
	d, err := r.onMachine(w.Profile)
	if err != nil {
		return d, err
	}
	for _, s := range []struct {
		to   *string
		from string
	}{{&d.Version, w.Version}, {&d.Channel, w.Channel}, {&d.Mode, w.Mode}, {&d.Provider, w.Provider}, {&d.Listen, w.Listen}, {&d.URL, w.URL},
		{&d.Practice.Name, w.Practice.Name}, {&d.Practice.Language, w.Practice.Language}, {&d.Practice.Timezone, w.Practice.Timezone},
		{&d.Practice.Currency, w.Practice.Currency}} {
		if s.from != "" {
			*s.to = s.from
		}
	}
	if w.PGPort != 0 {
		d.PGPort = w.PGPort
	}
	if w.Provider == pgcluster.ProviderBundled {
		d.PGBin = ""
	}
	if w.PGBin != "" {
		if d.PGBin, err = filepath.Abs(w.PGBin); err != nil {
			return d, err
		}
	}
	if w.Source != "" {
		if d.Source, err = absoluteSource(w.Source); err != nil {
			return d, err
		}
	}
	if w.Listen != "" && w.URL == "" {
		if d.URL, err = urlFor(w.Listen); err != nil {
			return d, err
		}
	}
	for i, m := range o.modules {
		o.modules[i] = strings.TrimPrefix(m, installer.ModulePrefix)
	}
	names, err := componentNames(append(args, o.modules...))
	if err != nil {
		return d, err
	}
	addComponents(&d, names)
	if d.Source == "" {
		return d, uerr.New(uerr.Usage, "install", "", errors.New("where from?"), "give --from DIR or --from http://MIRROR")
	}
	return d, nil
}

// absoluteSource makes a folder independent of the current one.
func absoluteSource(source string) (string, error) {
	if strings.Contains(source, "://") {
		return source, nil
	}
	return filepath.Abs(source)
}

// install plans, or installs, and shows the result.
func (r *run) install(ctx context.Context, d installer.Desired, digest string, detailed bool) error {
	inst, err := r.newInstaller(d)
	if err != nil {
		return err
	}
	if err := r.checkSource(ctx, inst, d.Source); err != nil {
		return err
	}
	if r.dryRun() {
		plan, err := inst.Plan(ctx, d)
		if plan == nil {
			return err
		}
		shown := r.result(plan, func(w io.Writer) { showInstallPlan(w, plan) })
		if err == nil && detailed && plan.Changes() > 0 {
			err = uerr.New(uerr.Pending, "plan:", "", fmt.Errorf("%d steps have something to do", plan.Changes()), "practicectl install --plan-digest "+plan.Digest)
		}
		return errors.Join(err, shown)
	}
	if err := inst.CheckPrefix(); err != nil { // the lock lies below it
		return err
	}
	ctx, unlock, err := r.lock(ctx, "install", "install")
	if err != nil {
		return err
	}
	defer unlock()
	rep, err := inst.Install(ctx, d, digest)
	if err != nil {
		return err
	}
	return r.result(rep, func(w io.Writer) { showInstalled(w, rep, d) })
}

// checkSource asks a source that is not the configured one before it is written down, even when nothing is needed from
// it now.
func (r *run) checkSource(ctx context.Context, inst *installer.Installer, source string) error {
	f, err := r.config()
	if err != nil || f.Update.Source == source {
		return nil // a new instance fetches everything from it anyhow
	}
	_, err = inst.Offer(ctx)
	return err
}

func showInstallPlan(w io.Writer, p *installer.Plan) {
	mark := map[string]string{"change": "+", "satisfied": " ", "blocked": "!"}
	for _, s := range p.Steps {
		fmt.Fprintf(w, "%s %s\n", mark[s.State], s.Action)
		if s.Why != "" {
			fmt.Fprintf(w, "    %s\n", s.Why)
		}
	}
	fmt.Fprintf(w, "%d of %d steps have something to do; digest %s\n", p.Changes(), len(p.Steps), p.Digest)
}

func showInstalled(w io.Writer, rep installer.Report, d installer.Desired) {
	if rep.Changes == 0 {
		fmt.Fprintln(w, "everything is as it should be; nothing was changed")
	}
	rows := [][]string{}
	for _, p := range rep.Components {
		rows = append(rows, []string{p.Name, p.Version})
	}
	table(w, rows)
	if rep.URL == "" {
		return
	}
	fmt.Fprintf(w, "\nserver       %s\nauthority    SHA-256 %s\n", rep.URL, rep.CAFingerprint)
	if d.Practice.Name == "" {
		fmt.Fprintln(w, "name         none yet: practicectl install --name "+strconv.Quote("Praxis …"))
	}
	fmt.Fprintln(w, "next: practicectl user add --first --login NAME --name 'FIRST LAST', then practicectl backup init and practicectl schedule install backup agent")
}
