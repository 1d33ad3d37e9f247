package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/config"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

type dbInitOptions struct {
	provider, bin string
	port          int
}

// dbInitResult is the JSON form of `db init`.
type dbInitResult struct {
	Created  bool   `json:"created"` // false: it was there and was brought in order
	DryRun   bool   `json:"dry_run"`
	Provider string `json:"provider"`
	Version  string `json:"version"`
	Data     string `json:"data"`
	Socket   string `json:"socket"`
	Port     int    `json:"port"`
	Database string `json:"database"`
}

func (a *app) dbInitCmd() *cobra.Command {
	var o dbInitOptions
	return a.leaf(leaf{
		Use: "init", Short: "Make the database cluster of the instance",
		Long: `Makes the database cluster of the instance with checksums, roles, extensions and the practice's database, reachable
only through its unix socket, and writes the settings into practice.toml. On a cluster that is there already it brings
configuration, roles and rights in order and keeps all data. install does this by itself.`,
		Examples: []string{"practicectl db init --prefix ~/practice", "practicectl db init --provider bundled --bin ~/pg-18/bin --port 5440"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.Locked, uerr.Precond, uerr.NoSpace, uerr.Auth},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.provider, "provider", "", "where PostgreSQL comes from: system or bundled; default: as configured")
			f.StringVar(&o.bin, "bin", "", "folder of initdb, pg_ctl and postgres")
			f.IntVar(&o.port, "port", 0, "port that names the socket; TCP stays closed; default: as configured")
		},
		Enums: map[string][]string{"provider": {pgcluster.ProviderSystem, pgcluster.ProviderBundled}},
		Run:   func(ctx context.Context, r *run, _ []string) error { return dbInit(ctx, r, o) },
	})
}

func dbInit(ctx context.Context, r *run, o dbInitOptions) error {
	l, err := r.layout()
	if err != nil {
		return err
	}
	f, changed, err := r.databaseSettings(o)
	if err != nil {
		return err
	}
	c, err := openCluster(ctx, l, f.Database)
	if err != nil {
		return err
	}
	res := dbInitResult{Created: !c.Initialized(), DryRun: r.dryRun(), Provider: f.Database.Provider, Version: c.Bin.Version, Data: c.Data,
		Socket: c.Socket(), Port: c.Port, Database: f.Database.Name}
	if !r.dryRun() {
		held, release, err := r.lock(ctx, "database", "db init")
		if err != nil {
			return err
		}
		defer release()
		prepare := pgcluster.PrepareOptions{Settings: pgcluster.Settings{Name: l.Instance}, Database: f.Database.Name}
		if changed {
			prepare.Made = func() error { return r.saveConfig(f) }
		}
		if err := pgcluster.Prepare(held, c, prepare); err != nil {
			return err
		}
	}
	return r.result(res, func(w io.Writer) {
		verb := map[[2]bool]string{{true, false}: "made", {false, false}: "brought in order", {true, true}: "would make", {false, true}: "would bring in order"}
		fmt.Fprintf(w, "%s: PostgreSQL %s (%s) in %s, socket %s\n", verb[[2]bool{res.Created, res.DryRun}], res.Version, res.Provider, res.Data, res.Socket)
		fmt.Fprintln(w, "next: practicectl db start")
	})
}

// databaseSettings is the configuration with the flags applied; changed says whether it must be saved.
func (r *run) databaseSettings(o dbInitOptions) (f *config.File, changed bool, err error) {
	f, err = r.config()
	if uerr.KindOf(err) == uerr.NotFound {
		d := config.Default()
		f, changed, err = &d, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	before := f.Database
	if o.provider != "" {
		if o.provider != f.Database.Provider {
			f.Database.Bin = ""
		}
		f.Database.Provider = o.provider
	}
	if o.bin != "" {
		if f.Database.Bin, err = filepath.Abs(o.bin); err != nil {
			return nil, false, err
		}
	}
	if o.port != 0 {
		f.Database.Port = o.port
	}
	if f.Database.Port < 1 || f.Database.Port > 65535 {
		return nil, false, uerr.New(uerr.Usage, "use --port", strconv.Itoa(o.port), fmt.Errorf("want 1 to 65535"), "")
	}
	return f, changed || f.Database != before, nil
}

func (r *run) saveConfig(f *config.File) error {
	path, err := r.configPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return uerr.New(uerr.Precond, "make the folder", filepath.Dir(path), err, "choose a --prefix of your own")
	}
	return config.Save(path, f)
}
