// Package client is the command line of practice-client: connect, serve, status, version.
package client

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"

	"practicectl/client"
	"practicectl/internal/daemon/cmdline"
	"practicectl/internal/modpack"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

// Main runs practice-client and returns its exit code.
func Main(ctx context.Context, args []string, s cmdline.Streams) int {
	return cmdline.Program{
		Name:  "practice-client",
		Short: "practice-client shows the installed modules of the practice on this workstation.",
		Commands: []cmdline.Command{
			{Name: "connect", Args: "URL", Short: "Remember the server after checking its certificate", Setup: connect},
			{Name: "serve", Short: "Show the modules in the browser, on this machine only", Setup: serve},
			{Name: "status", Short: "Show the server, the modules and the running daemon", Setup: status},
		},
	}.Main(ctx, args, s)
}

// stateFlag declares --state; the returned func settles its default, a folder of the user.
func stateFlag(f *flag.FlagSet) func(s cmdline.Streams) (client.State, error) {
	dir := f.String("state", "", "folder for this user's settings (default: the user's configuration folder)")
	return func(s cmdline.Streams) (client.State, error) {
		if *dir != "" {
			return client.State{Dir: *dir}, nil
		}
		base, err := os.UserConfigDir()
		if err != nil {
			return client.State{}, uerr.New(uerr.Precond, "find the folder for settings", "", err, "name it: --state DIR")
		}
		return client.State{Dir: filepath.Join(base, "practice-client")}, nil
	}
}

// prefixFlag declares --prefix; the returned func lists the modules below it.
func prefixFlag(f *flag.FlagSet) func(s cmdline.Streams) (func() ([]modpack.Module, []modpack.Refused, error), error) {
	prefix := f.String("prefix", "", "root of the installation (default: $PRACTICE_PREFIX or /)")
	return func(s cmdline.Streams) (func() ([]modpack.Module, []modpack.Refused, error), error) {
		at := *prefix
		if at == "" {
			at = s.Getenv("PRACTICE_PREFIX")
		}
		if at == "" {
			at = string(filepath.Separator)
		}
		l, err := paths.New(at, paths.DefaultInstance)
		if err != nil {
			return nil, uerr.New(uerr.Usage, "", "", err, "")
		}
		return func() ([]modpack.Module, []modpack.Refused, error) { return modpack.Installed(l.Opt()) }, nil
	}
}

func connect(f *flag.FlagSet) func(context.Context, cmdline.Streams, []string) error {
	state := stateFlag(f)
	fingerprint := f.String("fingerprint", "", "SHA-256 of the server's certificate, from its administrator (required)")
	return func(ctx context.Context, s cmdline.Streams, args []string) error {
		st, err := state(s)
		if err != nil {
			return err
		}
		if *fingerprint == "" {
			return uerr.New(uerr.Usage, "", "", errors.New("--fingerprint is missing: without it this could be anybody's server"), "practice-client connect -h")
		}
		server, err := client.Connect(ctx, args[0], *fingerprint, s.Now)
		if err != nil {
			return err
		}
		if err := st.SaveServer(server); err != nil {
			return err
		}
		fmt.Fprintf(s.Err, "Connected to %s.\nNext: practice-client serve\n", server.URL)
		return nil
	}
}

func serve(f *flag.FlagSet) func(context.Context, cmdline.Streams, []string) error {
	state, modules := stateFlag(f), prefixFlag(f)
	language := f.String("language", "de", "language of the screens: de or en")
	return func(ctx context.Context, s cmdline.Streams, _ []string) error {
		if !slices.Contains(modpack.Languages(), *language) {
			return uerr.New(uerr.Usage, "", "", fmt.Errorf("--language %q is none of de, en", *language), "practice-client serve -h")
		}
		st, err := state(s)
		if err != nil {
			return err
		}
		list, err := modules(s)
		if err != nil {
			return err
		}
		var server *client.Server
		switch known, err := st.Server(); {
		case err == nil:
			server = &known
		case uerr.KindOf(err) != uerr.NotFound: // not connected yet is a screen of its own
			return err
		}
		return run(ctx, s, st, client.HostOptions{Server: server, Language: *language, Modules: list, Log: slog.New(slog.NewTextHandler(s.Err, nil))})
	}
}

// run listens on a free port of the loopback address only: nothing on the network reaches it, and users of one machine do
// not get in each other's way.
func run(ctx context.Context, s cmdline.Streams, st client.State, o client.HostOptions) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return uerr.New(uerr.Precond, "listen on", "127.0.0.1", err, "")
	}
	o.Addr = l.Addr().String()
	h, err := client.NewHost(o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	forget, err := st.SaveRunning(client.Running{Schema: 1, URL: "http://" + o.Addr, PID: os.Getpid()})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(s.Out, "http://%s\n", o.Addr)
	return errors.Join(cmdline.Serve(ctx, l, h), forget())
}
