package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/mirror"
)

func (a *app) mirrorServeCmd() *cobra.Command {
	var dir, listen string
	var every time.Duration
	return a.leaf(leaf{
		Use: "serve", Short: "Serve the mirror to this network",
		Long: "Serves the mirror over HTTP until it is stopped, and prints its address on standard output first. Clients trust signatures, not this " +
			"connection. With --sync-every it also keeps itself up to date.",
		Examples: []string{"practicectl mirror serve --dir /srv/mirror --listen 0.0.0.0:7080 --sync-every 6h", "practicectl mirror serve --dir /srv/mirror --listen 127.0.0.1:0"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Precond, uerr.Interrupted, uerr.Terminated},
		NoJSON:   "it runs until it is stopped",
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "folder of the mirror; default: [mirror] dir of the configuration")
			f.StringVar(&listen, "listen", "", "address to listen on, port 0 chooses one; default: [mirror] listen of the configuration")
			f.DurationVar(&every, "sync-every", 0, "also sync this often, such as 6h; 0 means never")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			where, err := r.mirrorDir(dir)
			if err != nil {
				return err
			}
			if listen == "" {
				cfg, err := r.config()
				if err != nil || cfg.Mirror.Listen == "" {
					return uerr.New(uerr.Config, "serve the mirror in", where, errNoMirror, "give --listen HOST:PORT")
				}
				listen = cfg.Mirror.Listen
			}
			if r.dryRun() {
				r.say("would serve the mirror in %s on %s", where, listen)
				return nil
			}
			return mirror.Serve(ctx, where, mirror.ServeOptions{Listen: listen, SyncEvery: every, Sync: r.syncOptions(), Log: r.log, Now: r.now,
				Ready: func(url string) { fmt.Fprintln(r.app.Out, url) }})
		},
	})
}
