// Package server runs the practice-server program: it reads the instance's configuration and wires the core server to
// the network.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"practicectl/internal/buildinfo"
	"practicectl/internal/config"
	"practicectl/internal/paths"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
	"practicectl/server/store"
)

const usage = `Usage: practice-server COMMAND [--prefix DIR] [--instance NAME]

  serve     answer over HTTPS (--maintenance: only the probes; --wait DURATION: for the database to come up)
  migrate   bring the database up to this version's schema
  schema    compare this version's schema with the database's (--json)
  version   say which version this is (--json)
`

type options struct {
	layout      paths.Layout
	json        bool
	maintenance bool
	wait        time.Duration
	out, errs   io.Writer
}

// Main runs one command and returns the exit code of the product's table.
func Main(ctx context.Context, args []string, out, errs io.Writer) int {
	err := run(ctx, args, out, errs)
	if err != nil {
		fmt.Fprintln(errs, "practice-server:", err)
		if hint := uerr.HintOf(err); hint != "" {
			fmt.Fprintln(errs, "hint:", hint)
		}
	}
	return uerr.ExitCode(err)
}

func run(ctx context.Context, args []string, out, errs io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(out, usage)
		return err
	}
	o := options{out: out, errs: errs}
	command, ok := map[string]func(context.Context, options) error{"serve": serve, "migrate": migrate, "schema": schema, "version": version}[args[0]]
	if !ok {
		return uerr.New(uerr.Usage, "", "", fmt.Errorf("unknown command %q", args[0]), "practice-server help")
	}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.SetOutput(io.Discard)
	prefix := f.String("prefix", "/", "folder that the instance lives under")
	instance := f.String("instance", paths.DefaultInstance, "name of the instance")
	f.BoolVar(&o.json, "json", false, "answer in JSON")
	f.BoolVar(&o.maintenance, "maintenance", false, "answer probes only")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for the database")
	if err := f.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, err := io.WriteString(out, usage)
			return err
		}
		return uerr.New(uerr.Usage, "", "", err, "practice-server help")
	}
	if f.NArg() > 0 {
		return uerr.New(uerr.Usage, "", "", fmt.Errorf("unexpected %q", strings.Join(f.Args(), " ")), "practice-server help")
	}
	var err error
	if o.layout, err = paths.New(*prefix, *instance); err != nil {
		return uerr.New(uerr.Usage, "", "", err, "practice-server help")
	}
	// Whoever owns this folder could pose as the database.
	if err := o.layout.ClaimRun(); err != nil {
		return uerr.New(uerr.Precond, "use the folder of locks and sockets:", "", err, "")
	}
	return command(ctx, o)
}

// database is the address of the instance's database for a role.
func (o options) database(f *config.File, role string) string {
	return pgcluster.At(o.layout, pgcluster.Binaries{}, f.Database.Port).ConnString(role, f.Database.Name)
}

func (o options) log() *slog.Logger { return slog.New(slog.NewJSONHandler(o.errs, nil)) }

func migrate(ctx context.Context, o options) error {
	f, err := config.Load(o.layout.Config())
	if err != nil {
		return err
	}
	v, err := store.Migrate(ctx, o.database(f, pgcluster.RoleMigrate), o.log())
	if err != nil {
		return err
	}
	return o.schema(v)
}

func schema(ctx context.Context, o options) error {
	f, err := config.Load(o.layout.Config())
	if err != nil {
		return err
	}
	v, err := store.ReadSchema(ctx, o.database(f, pgcluster.RoleMigrate))
	if err != nil {
		return err
	}
	return o.schema(v)
}

func (o options) schema(v store.Schema) error {
	if o.json {
		return json.NewEncoder(o.out).Encode(v)
	}
	_, err := fmt.Fprintf(o.out, "schema of this version %d, of the database %d\n", v.Known, v.Applied)
	return err
}

func version(_ context.Context, o options) error {
	i := buildinfo.Read("practice-server")
	if o.json {
		return json.NewEncoder(o.out).Encode(i)
	}
	_, err := fmt.Fprintf(o.out, "%s %s (%s/%s, %s)\n", i.Program, i.Version, i.OS, i.Arch, i.Go)
	return err
}
