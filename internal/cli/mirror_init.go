package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/mirror"
	"practicectl/release"
	"practicectl/release/trust"
)

func (a *app) mirrorInitCmd() *cobra.Command {
	var dir string
	var s mirror.Settings
	return a.leaf(leaf{
		Use: "init", Short: "Make an empty mirror of a release repository",
		Long: "Makes the folder of a mirror and notes its source. The mirror holds no keys: it verifies what it copies, and every client verifies again. " +
			"Fill it with practicectl mirror sync.",
		Examples: []string{"practicectl mirror init --dir /srv/mirror --source https://releases.example.com",
			"practicectl mirror init --dir /srv/mirror --source /media/usb/repo --mode airgap --channel stable --platform linux-amd64,windows-amd64"},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.NotFound, uerr.Precond},
		Enums: map[string][]string{"mode": {trust.Online, trust.LAN, trust.AirGap}},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "dir", "", "folder of the mirror; default: [mirror] dir of the configuration")
			f.StringVar(&s.Source, "source", "", "address or folder to copy from")
			f.StringVar(&s.Mode, "mode", trust.Online, "how long expired signatures are tolerated: online (not), lan (30 days) or airgap (200 days)")
			f.StringSliceVar(&s.Channels, "channel", nil, "channels to copy, of stable, lts, beta; default: all")
			f.StringSliceVar(&s.Components, "component", nil, "components to copy; default: all")
			f.StringSliceVar(&s.Platforms, "platform", nil, "platforms to copy, such as linux-amd64; default: all")
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			for _, c := range s.Channels {
				if !release.IsChannel(c) {
					return usageError(r.cmd, fmt.Errorf("--channel %q is none of stable, lts, beta", c))
				}
			}
			where, err := r.mirrorDir(dir)
			if err != nil {
				return err
			}
			if s.Source == "" {
				if cfg, err := r.config(); err == nil {
					s.Source = cfg.Mirror.Source
				}
			}
			if r.dryRun() {
				r.say("would make a mirror of %s in %s", s.Source, where)
				return nil
			}
			if err := mirror.Init(where, s); err != nil {
				return err
			}
			return r.result(map[string]any{"dir": where, "settings": s}, func(w io.Writer) {
				fmt.Fprintf(w, "mirror of %s in %s\nnext: practicectl mirror sync --dir %s\n", s.Source, where, where)
			})
		},
	})
}
