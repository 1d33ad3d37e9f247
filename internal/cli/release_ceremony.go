package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/internal/uerr"
	"practicectl/release"
	"practicectl/release/publish"
)

func (a *app) releaseCeremonyCmd() *cobra.Command {
	return a.group("ceremony", "Set up who signs releases",
		"The key ceremony: people meet, their public keys are put into the root of trust, and each signs it on their own machine. "+
			"Drafts lie in a stage folder that is carried from machine to machine.",
		a.releaseCeremonyInitCmd(), a.releaseCeremonySignCmd(), a.releaseCeremonyStatusCmd(), a.releaseCeremonyVerifyCmd())
}

func (a *app) releaseCeremonyInitCmd() *cobra.Command {
	var stage string
	var thresholds []string
	keys := map[string]*[]string{}
	roles := []string{publish.Root, publish.Targets, release.Stable, release.LTS, release.Deps, release.Beta, publish.Snapshot, publish.Timestamp}
	return a.leaf(leaf{
		Use: "init", Short: "Draft the root of trust from public keys",
		Long: "Writes the unsigned first root and targets metadata into the stage. Keys of targets default to those of root; keys of lts, deps and " +
			"beta to those of stable. Two signatures are needed for root, targets, stable, lts and deps, one for the others.",
		Examples: []string{
			"practicectl release ceremony init --stage draft --root a.pub,b.pub,c.pub --stable m1.pub,m2.pub,m3.pub --snapshot s.pub --timestamp t.pub",
			"practicectl release ceremony init --stage draft --root a.pub,b.pub --stable m.pub --threshold stable=1,lts=1,deps=1 --snapshot s.pub --timestamp s.pub",
		},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.NotFound, uerr.Integrity, uerr.Precond},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&stage, "stage", "draft", "stage folder")
			f.StringSliceVar(&thresholds, "threshold", nil, "signatures needed, as ROLE=NUMBER")
			for _, role := range roles {
				keys[role] = f.StringSlice(role, nil, "public keys of the role "+role)
			}
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			o := publish.CeremonyOptions{Stage: stage, Keys: map[string][]publish.PublicKey{}, Now: r.now()}
			var err error
			if o.Thresholds, err = parseThresholds(thresholds); err != nil {
				return err
			}
			for role, files := range keys {
				if o.Keys[role], err = readPublicKeys(*files); err != nil {
					return err
				}
			}
			if r.dryRun() {
				r.say("would draft root and targets in %s", stage)
				return nil
			}
			all, err := publish.InitCeremony(o)
			if err != nil {
				return err
			}
			return r.showSigning(stage, all)
		},
	})
}

func (a *app) releaseCeremonySignCmd() *cobra.Command {
	var stage, repo, pass string
	var keys []string
	return a.leaf(leaf{
		Use: "sign FILE", Short: "Sign a draft with your key",
		Long: "Signs one draft of the stage, such as draft/metadata/1.root.json, with the keys given. Each person does this on their own machine; " +
			"signing twice with one key counts once.",
		Examples: []string{"practicectl release ceremony sign draft/metadata/1.root.json --key usb/alice.key.age",
			"practicectl release ceremony sign draft/metadata/1.targets.json --key b.key.age --passphrase-file b.pass"},
		Args:     cobra.ExactArgs(1),
		Complete: completeFiles,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Auth, uerr.Integrity, uerr.NeedConfirm},
		Flags:    func(f *pflag.FlagSet) { signFlags(f, &stage, &repo, &pass, &keys) },
		Run: func(_ context.Context, r *run, args []string) error {
			dir, role, err := draftFile(args[0])
			if err != nil {
				return usageError(r.cmd, err)
			}
			return r.signDraft(dir, repo, role, pass, keys)
		},
	})
}

func signFlags(f *pflag.FlagSet, stage, repo, pass *string, keys *[]string) {
	f.StringVar(stage, "stage", "draft", "stage folder")
	f.StringVar(repo, "repo", "", "repository that the draft will be published in; empty for the first ceremony")
	f.StringVar(pass, "passphrase-file", "", "file that holds the keys' passphrase, - for standard input")
	f.StringSliceVar(keys, "key", nil, "key files made by keygen")
}

// draftFile splits "draft/metadata/1.root.json" into its stage and role.
func draftFile(path string) (stage, role string, err error) {
	parts := strings.Split(filepath.Base(path), ".")
	dir := filepath.Dir(path)
	if len(parts) != 3 || filepath.Base(dir) != "metadata" {
		return "", "", fmt.Errorf("%s is not a draft such as draft/metadata/1.root.json", path)
	}
	return filepath.Dir(dir), parts[1], nil
}

func (r *run) signDraft(stage, repo, role, pass string, files []string) error {
	if r.dryRun() {
		all, err := publish.StageStatus(stage, repo)
		if err != nil {
			return err
		}
		return r.showSigning(stage, all)
	}
	keys, err := r.openKeys(files, pass)
	if err != nil {
		return err
	}
	st, err := publish.Sign(stage, repo, role, keys...)
	if err != nil {
		return err
	}
	return r.showSigning(stage, []publish.SignStatus{st})
}

func (a *app) releaseCeremonyStatusCmd() *cobra.Command {
	var stage, repo string
	return a.leaf(leaf{
		Use: "status", Short: "Show who has signed the drafts and who may",
		Long:     "Lists every draft of the stage with its valid signatures, the keys that can still sign, and when its signatures end.",
		Examples: []string{"practicectl release ceremony status --stage draft", "practicectl release ceremony status --stage draft --repo /srv/releases --json"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Integrity},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&stage, "stage", "draft", "stage folder")
			f.StringVar(&repo, "repo", "", "repository that the drafts will be published in")
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			all, err := publish.StageStatus(stage, repo)
			if err != nil {
				return err
			}
			return r.showSigning(stage, all)
		},
	})
}

func (a *app) releaseCeremonyVerifyCmd() *cobra.Command {
	var stage, repo string
	return a.leaf(leaf{
		Use: "verify", Short: "Check that every draft has enough signatures",
		Long:     "Ends with exit code 14 when a draft of the stage still lacks signatures; a new root must also be signed by the threshold of the old one.",
		Examples: []string{"practicectl release ceremony verify --stage draft", "practicectl release ceremony verify --stage draft --repo /srv/releases"},
		Args:     cobra.NoArgs,
		Exits:    []uerr.Kind{uerr.NotFound, uerr.Integrity, uerr.Precond},
		Flags: func(f *pflag.FlagSet) {
			f.StringVar(&stage, "stage", "draft", "stage folder")
			f.StringVar(&repo, "repo", "", "repository that the drafts will be published in")
		},
		Run: func(_ context.Context, r *run, _ []string) error {
			all, err := publish.StageStatus(stage, repo)
			if err == nil && len(all) == 0 {
				err = uerr.New(uerr.NotFound, "verify the stage", stage, errors.New("it holds no drafts"), "practicectl release ceremony init --help")
			}
			if err == nil {
				err = publish.RequireComplete(all)
			}
			if err != nil {
				return err
			}
			return r.showSigning(stage, all)
		},
	})
}

func (r *run) showSigning(stage string, all []publish.SignStatus) error {
	return r.result(map[string]any{"stage": stage, "drafts": all}, func(w io.Writer) {
		rows := [][]string{{"ROLE", "VERSION", "SIGNED", "EXPIRES", "STILL MAY SIGN"}}
		for _, st := range all {
			var may []string
			if !st.Complete {
				for _, id := range st.Missing {
					may = append(may, shortID(id))
				}
			}
			rows = append(rows, []string{st.Role, fmt.Sprint(st.Version), fmt.Sprintf("%d of %d", len(st.Signed), st.Need),
				st.Expires.Format(time.DateOnly), strings.Join(may, " ")})
		}
		table(w, rows)
	})
}

func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
