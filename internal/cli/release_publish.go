package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/release/publish"
)

func (a *app) releasePublishCmd() *cobra.Command {
	var stage, repo, pass, snapshotKey, timestampKey string
	return a.leaf(leaf{
		Use: "publish", Short: "Publish what is signed in the stage",
		Long: "Checks every signature and its life time, copies targets and metadata into the repository folder, lets a real client read the result " +
			"from a clean folder, and moves timestamp.json last. With an empty stage it renews the timestamp; run it daily.",
		Examples: []string{"practicectl release publish --repo /srv/releases --snapshot-key s.key.age --timestamp-key t.key.age",
			"practicectl release publish --repo /srv/releases --snapshot-key s.key.age --timestamp-key t.key.age --passphrase-file online.pass --cron"},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.NoSpace, uerr.NeedConfirm},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&stage, "stage", "draft", "stage folder")
			f.StringVar(&repo, "repo", "", "repository folder")
			f.StringVar(&snapshotKey, "snapshot-key", "", "key of the snapshot role")
			f.StringVar(&timestampKey, "timestamp-key", "", "key of the timestamp role")
			f.StringVar(&pass, "passphrase-file", "", "file that holds the keys' passphrase, - for standard input")
		},
		Run: func(ctx context.Context, r *run, _ []string) error {
			if repo == "" || snapshotKey == "" || timestampKey == "" {
				return usageError(r.cmd, errors.New("--repo, --snapshot-key and --timestamp-key are needed"))
			}
			if r.dryRun() {
				all, err := publish.StageStatus(stage, repo)
				if err == nil {
					err = publish.RequireComplete(all)
				}
				if err != nil {
					return err
				}
				return r.showSigning(stage, all)
			}
			keys, err := r.openKeys([]string{snapshotKey, timestampKey}, pass)
			if err != nil {
				return err
			}
			rep, err := publish.Publish(ctx, publish.PublishOptions{Stage: stage, Repo: repo, Snapshot: keys[0], Timestamp: keys[1], Now: r.now()})
			if err != nil {
				return err
			}
			return r.result(rep, func(w io.Writer) {
				fmt.Fprintf(w, "published state %d: %d new files (%s), valid until %s\n", rep.Timestamp, rep.Added, size(rep.Bytes), rep.Expires.Format(time.DateOnly))
			})
		},
	})
}
