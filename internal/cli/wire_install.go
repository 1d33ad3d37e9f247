package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"practicectl/installer"
	"practicectl/internal/buildinfo"
	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/svc"
	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/trust"
)

// newInstaller wires the installer of the chosen instance; d says where releases come from.
func (r *run) newInstaller(d installer.Desired) (*installer.Installer, error) {
	l, err := r.layout()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return installer.New(installer.Options{
		Layout: l, Settings: settingsFile{l.Config()}, Services: svc.Open(l), Agent: r.detachedAgent(l),
		Source: &lazySource{o: trust.Options{Source: d.Source, Dir: l.Trust(), Channel: d.Channel, Mode: d.Mode, Now: r.now,
			Proxy: proxyFrom(r.app.Getenv), UserAgent: Program + "/" + buildinfo.Version()}},
		Unschedule: func(ctx context.Context) error { return r.unschedule(ctx, l, nil) },
		OS:         runtime.GOOS, Arch: runtime.GOARCH, Hostname: strings.ToLower(host), EUID: os.Geteuid(), RootHint: r.asUser(),
		Now: r.now, Progress: r.progress,
	}), nil
}

// detachedAgent is the agent of an instance as the installer starts and stops it.
func (r *run) detachedAgent(l paths.Layout) svc.DetachedAgent {
	return svc.DetachedAgent{Client: svc.NewAgent(l.AgentSocket()), Args: []string{"--prefix", l.Prefix, "--instance", l.Instance, "agent", "run"},
		Dir: "/", Log: filepath.Join(l.Log(), "agent.log"), Lock: l.Lock("agent")}
}

// asUser is this command line as root should give it: through an ordinary user who owns the installation.
func (r *run) asUser() string {
	words := []string{"runuser", "-u", "practice", "--", Program}
	if r.global.prefix == "/" {
		words = append(words, "--prefix", "/home/practice/practice")
	}
	return shellLine(append(words, os.Args[1:]...)) + "\n(once before: useradd --system --create-home practice)"
}

// shellLine writes a command so that a shell reads the same words.
func shellLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n'\"`$\\*?&;|<>()[]{}~#!") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

// onMachine is the desired state that configuration and receipts of the instance describe; that of a new instance is
// made of the defaults. An empty profile is the machine's own.
func (r *run) onMachine(profile string) (installer.Desired, error) {
	l, err := r.layout()
	if err != nil {
		return installer.Desired{}, err
	}
	f, err := config.Load(l.Config())
	fresh := uerr.KindOf(err) == uerr.NotFound
	if fresh {
		d := config.Default()
		f, err = &d, nil
	}
	if err != nil {
		return installer.Desired{}, err
	}
	d := desiredOf(f)
	d.Profile = profile
	return installer.OnMachine(l, d)
}

func desiredOf(f *config.File) installer.Desired {
	return installer.Desired{
		Modules: slices.Clone(f.Update.Modules), Provider: f.Database.Provider, PGBin: f.Database.Bin, PGPort: f.Database.Port, Database: f.Database.Name,
		Listen: f.Server.Listen, URL: f.Server.URL, Source: f.Update.Source, Channel: f.Update.Channel, Mode: f.Update.Mode,
		Practice: installer.Practice{Name: f.Practice.Name, Language: f.Practice.Language, Timezone: f.Practice.Timezone, Currency: f.Practice.Currency},
	}
}

// settingsFile is practice.toml as the installer sees it.
type settingsFile struct{ path string }

func (s settingsFile) Match(d installer.Desired) (bool, error) {
	f, err := config.Load(s.path)
	if uerr.KindOf(err) == uerr.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	before := *f
	apply(f, d)
	return before.Practice == f.Practice && before.Database == f.Database && before.Server == f.Server && sameUpdate(before.Update, f.Update), nil
}

func sameUpdate(a, b config.Update) bool {
	return a.Source == b.Source && a.Channel == b.Channel && a.Mode == b.Mode && slices.Equal(a.Modules, b.Modules)
}

func (s settingsFile) Write(d installer.Desired) error {
	f, err := config.Load(s.path)
	if uerr.KindOf(err) == uerr.NotFound {
		fresh := config.Default()
		f, err = &fresh, nil
		if d.Profile == installer.ProfileWorkstation {
			f.Agent.Services = []string{}
		}
	}
	if err != nil {
		return err
	}
	apply(f, d)
	return config.Save(s.path, f)
}

// apply puts into f what d says; everything else in f belongs to others.
func apply(f *config.File, d installer.Desired) {
	f.Practice = config.Practice{Name: d.Practice.Name, Language: d.Practice.Language, Timezone: d.Practice.Timezone, Currency: d.Practice.Currency}
	f.Database = config.Database{Provider: d.Provider, Bin: d.PGBin, Port: d.PGPort, Name: d.Database}
	f.Server.Listen, f.Server.URL = d.Listen, d.URL
	f.Update.Source, f.Update.Channel, f.Update.Mode, f.Update.Modules = d.Source, d.Channel, d.Mode, d.Modules
}

// urlFor is what people type to reach a server that listens on an address.
func urlFor(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", uerr.New(uerr.Usage, "listen on", listen, err, "give --listen HOST:PORT")
	}
	ip := net.ParseIP(host)
	switch {
	case host == "" || ip != nil && ip.IsUnspecified():
		if host, err = os.Hostname(); err != nil {
			return "", uerr.New(uerr.Precond, "find the name of", "this machine", err, "give --url https://NAME:PORT")
		}
	case ip != nil && ip.IsLoopback():
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(strings.ToLower(host), port), nil
}

// componentNames turns what people type into component names: modules may come without their prefix.
func componentNames(args []string) ([]string, error) {
	var names []string
	for _, a := range args {
		if slices.Contains(installer.Modules(), a) {
			a = installer.ModulePrefix + a
		}
		if !slices.Contains(release.Components(), a) {
			return nil, uerr.New(uerr.Usage, "component", a, errors.New("there is none of this name"), "practicectl component list")
		}
		names = append(names, a)
	}
	return names, nil
}

// addComponents puts names into d: modules where modules are kept.
func addComponents(d *installer.Desired, names []string) {
	for _, n := range names {
		list := &d.Components
		module, ok := strings.CutPrefix(n, installer.ModulePrefix)
		if ok {
			n, list = module, &d.Modules
		}
		if !slices.Contains(*list, n) {
			*list = append(*list, n)
		}
	}
	slices.Sort(d.Components)
	slices.Sort(d.Modules)
}
