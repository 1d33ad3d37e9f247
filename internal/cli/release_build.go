package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/archive"
	"practicectl/release/publish"
)

// releaseBuildFlags are the flags of release build.
type releaseBuildFlags struct {
	stage, repo, channel, platform   string
	components, floors               []string
	notes, severity, kind, minFrom   string
	mandatoryAfter                   string
	schemaFrom, schemaTo, noticeDays int
	backwardCompatible, fast         bool
}

func (a *app) releaseBuildCmd() *cobra.Command {
	var o releaseBuildFlags
	return a.leaf(leaf{
		Use: "build VERSION", Short: "Pack prebuilt components into a release",
		Long: "Packs folders of prebuilt files into reproducible component archives and drafts the channel's next metadata in the stage. Run it once " +
			"for each platform; the draft grows until it is signed. A version that is published can only be built again into the same bytes.",
		Examples: []string{
			"practicectl release build 1.4.1 --repo /srv/releases --platform linux-amd64 --component server=dist/server --component practicectl=dist/ctl --notes NOTES.md",
			"practicectl release build 18.4.0 --channel deps --repo /srv/releases --platform linux-amd64 --component postgresql=pg",
		},
		Args:  cobra.ExactArgs(1),
		Exits: []uerr.Kind{uerr.Integrity, uerr.Precond, uerr.NoSpace},
		Enums: map[string][]string{"channel": release.Roles(), "severity": {release.Feature, release.Fix, release.Security}, "kind": {release.Major, release.Minor}},
		Flags: func(f *pflag.FlagSet) { o.bind(f) },
		Run: func(ctx context.Context, r *run, args []string) error {
			b, err := o.options(args[0], r)
			if err != nil {
				return err
			}
			if r.dryRun() {
				r.say("would pack %d components as %s %s", len(b.Components), b.Role, args[0])
				return nil
			}
			rep, err := publish.Build(ctx, b)
			if err != nil {
				return err
			}
			return r.result(rep, func(w io.Writer) {
				rows := [][]string{{"TARGET", "SIZE", "UNPACKED", "SHA-256"}}
				for _, t := range rep.Targets {
					rows = append(rows, []string{t.Path, size(t.Length), size(t.Size), shortID(t.SHA256)})
				}
				table(w, rows)
				fmt.Fprintf(w, "%s is version %d and needs %d signatures: practicectl release sign --role %s --stage %s\n", rep.Role, rep.Version, rep.Draft.Need, rep.Role, o.stage)
			})
		},
	})
}

func (o *releaseBuildFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&o.stage, "stage", "draft", "stage folder")
	f.StringVar(&o.repo, "repo", "", "repository that it will be published in")
	f.StringVar(&o.channel, "channel", release.Stable, "channel: stable, lts, deps or beta")
	f.StringVar(&o.platform, "platform", release.Any, "platform of the components, such as linux-amd64, or any")
	f.StringArrayVar(&o.components, "component", nil, "component and the folder of its files, as NAME=DIR; may be repeated")
	f.StringVar(&o.notes, "notes", "", "file with the complete release notes")
	f.StringVar(&o.severity, "severity", release.Feature, "severity: feature, fix or security")
	f.StringVar(&o.kind, "kind", "", "kind: major or minor; default: major when the first number rises")
	f.StringVar(&o.minFrom, "min-from", "", "oldest version that can update to this one directly")
	f.StringVar(&o.mandatoryAfter, "mandatory-after", "", "from when on it cannot be deferred, RFC 3339")
	f.IntVar(&o.noticeDays, "notice-days", 0, "days that the notes are shown before it is installed")
	f.IntVar(&o.schemaFrom, "schema-from", 0, "oldest database schema that it migrates")
	f.IntVar(&o.schemaTo, "schema-to", 0, "database schema after migrating")
	f.BoolVar(&o.backwardCompatible, "backward-compatible", false, "the release before runs on the migrated schema too")
	f.StringArrayVar(&o.floors, "floor", nil, "oldest version allowed to run, as COMPONENT=VERSION; may be repeated")
	f.BoolVar(&o.fast, "fast", false, "compress less, for trials")
}

func (o *releaseBuildFlags) options(version string, r *run) (publish.BuildOptions, error) {
	b := publish.BuildOptions{Stage: o.stage, Repo: o.repo, Role: o.channel, Now: r.now(), Progress: r.progress,
		Release: release.Release{Version: version, Severity: o.severity, Kind: o.kind, MinFrom: o.minFrom, NoticeDays: o.noticeDays,
			DB: release.DB{SchemaFrom: o.schemaFrom, SchemaTo: o.schemaTo, BackwardCompatible: o.backwardCompatible}}}
	if o.fast {
		b.Effort = archive.Fast
	}
	if o.notes != "" {
		text, err := os.ReadFile(o.notes)
		if err != nil {
			return b, uerr.New(uerr.Usage, "read the notes", o.notes, err, "")
		}
		b.Release.Notes = string(text)
	}
	if o.mandatoryAfter != "" {
		t, err := time.Parse(time.RFC3339, o.mandatoryAfter)
		if err != nil {
			return b, usageError(r.cmd, fmt.Errorf("--mandatory-after: %w", err))
		}
		b.Release.MandatoryAfter = &t
	}
	var err error
	if b.Floors, err = parsePairs("floor", o.floors); err != nil {
		return b, err
	}
	goos, goarch := release.Any, release.Any
	if o.platform != release.Any {
		var ok bool
		if goos, goarch, ok = strings.Cut(o.platform, "-"); !ok {
			return b, usageError(r.cmd, fmt.Errorf("--platform %q: want OS-ARCH or any", o.platform))
		}
	}
	for _, item := range o.components {
		name, dir, ok := strings.Cut(item, "=")
		if st, err := os.Stat(dir); !ok || err != nil || !st.IsDir() {
			return b, usageError(r.cmd, fmt.Errorf("--component %q: want NAME=FOLDER", item))
		}
		summary, requires := publish.Describe(name)
		b.Components = append(b.Components, publish.Component{Name: name, OS: goos, Arch: goarch, Summary: summary, Requires: requires, Files: os.DirFS(dir)})
	}
	return b, nil
}
