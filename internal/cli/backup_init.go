package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/backup/repo"
	"practicectl/internal/atomicfile"
	"practicectl/internal/config"
	"practicectl/internal/objstore"
	"practicectl/internal/paths"
	"practicectl/internal/uerr"
)

type backupInitOptions struct {
	storeFlags
	recipients []string
	paths      []string
	host       string
	ownerKey   string
}

type backupInitResult struct {
	Store        string                `json:"store"`
	Repository   string                `json:"repository"`
	Host         string                `json:"host"`
	OwnerKey     string                `json:"owner_key"`
	Recipients   []string              `json:"recipients"`
	Capabilities objstore.Capabilities `json:"capabilities"`
	DryRun       bool                  `json:"dry_run,omitempty"`
}

func (a *app) backupInitCmd() *cobra.Command {
	var o backupInitOptions
	return a.leaf(leaf{
		Use: "init", Short: "Make the backup repository of the instance",
		Long: `Makes an encrypted repository in a folder or an S3 bucket and writes the [backup] section of the configuration.

Everything is encrypted to at least two recipients (practicectl key generate). This host cannot read what it stores: keep
the identities elsewhere. The owner key, which signs changes of the recipients, is written to --owner-key-out; carry that
file away as well. An interrupted init is finished by running it again.`,
		Examples: []string{
			"practicectl backup init --store /mnt/nas/backup --recipient age1… --recipient age1… --owner-key-out /media/usb/owner-signing.pem",
			"practicectl backup init --store s3://clinic/main --endpoint https://s3.example.org --credentials-file s3.toml --recipient age1… --recipient age1… --owner-key-out owner.pem",
		},
		Args:  cobra.NoArgs,
		Exits: []uerr.Kind{uerr.NotFound, uerr.Locked, uerr.Auth, uerr.Integrity, uerr.Precond, uerr.Unreachable, uerr.NoSpace, uerr.LossGuard},
		Flags: func(f *pflag.FlagSet) {
			o.bind(f)
			f.StringArrayVar(&o.recipients, "recipient", nil, "public key that can restore (age1…); at least two")
			f.StringArrayVar(&o.paths, "path", nil, "extra file or folder to save; may be repeated")
			f.StringVar(&o.host, "host", "", "name of this host in the repository; default: the host's own")
			f.StringVar(&o.ownerKey, "owner-key-out", "", "new file for the owner key, to be carried off this host (required)")
		},
		Run: func(ctx context.Context, r *run, _ []string) error { return r.backupInit(ctx, o) },
	})
}

func (r *run) backupInit(ctx context.Context, o backupInitOptions) error {
	if o.store == "" || o.ownerKey == "" {
		return usageError(r.cmd, errors.New("--store and --owner-key-out are needed"))
	}
	c, err := r.config()
	if err != nil {
		return err
	}
	l, err := r.layout()
	if err != nil {
		return err
	}
	setup := backup.SetupOptions{Credentials: l.Cred(), InitOptions: backup.InitOptions{Host: o.host, Recipients: o.recipients, Now: r.now()}}
	if setup.OwnerKey, err = filepath.Abs(o.ownerKey); err != nil {
		return err
	}
	if insideInstance(setup.OwnerKey, l) {
		return uerr.New(uerr.Precond, "write the owner key", setup.OwnerKey, errors.New("it would lie in the instance that it must be kept away from"), "name a file on a medium that you carry away")
	}
	if setup.Host == "" {
		setup.Host = hostName(l)
	}
	if err := backup.CheckInit(setup.InitOptions); err != nil {
		return err
	}
	ctx, release, err := r.lock(ctx, "backup", "backup init")
	if err != nil {
		return err
	}
	defer release()
	section := c.Backup
	section.Store, section.Endpoint, section.Region, section.Credentials = o.store, o.endpoint, o.region, o.credentials
	section.Recipients, section.Paths = o.recipients, o.paths
	res := backupInitResult{Host: setup.Host, OwnerKey: setup.OwnerKey, Recipients: o.recipients, DryRun: r.dryRun(), Store: o.store}
	if r.dryRun() {
		return r.showBackupInit(res)
	}
	if err := keepCredentials(&section, l); err != nil {
		return err
	}
	st, err := r.openStore(section, true)
	if err != nil {
		return err
	}
	if res.Capabilities, err = st.Probe(ctx); err != nil {
		return objstore.Wrap("try the store", st, "", err)
	}
	path, err := r.configPath()
	if err != nil {
		return err
	}
	setup.Configure = func() error {
		c.Backup = section
		if strings.HasPrefix(section.Store, "s3://") {
			c.Backup.Credentials = storeCredentials // relative: it holds for a restored instance elsewhere as well
		}
		return config.Save(path, c)
	}
	setup.ObjectLock, setup.Unconditional = res.Capabilities.ObjectLock, !res.Capabilities.IfAbsent
	pin, err := backup.Setup(ctx, st, setup)
	if err != nil {
		return err
	}
	res.Store, res.Repository, res.Host = st.String(), pin.Repository, pin.Host
	return r.showBackupInit(res)
}

func (r *run) showBackupInit(res backupInitResult) error {
	err := r.result(res, func(w io.Writer) {
		rows := [][]string{{"store", res.Store}, {"host", res.Host}, {"owner key", res.OwnerKey}}
		if res.Repository != "" {
			rows = append(rows, []string{"repository", res.Repository})
		}
		for _, key := range res.Recipients {
			rows = append(rows, []string{"recipient", shorten(key)})
		}
		table(w, rows)
	})
	if err == nil && !res.DryRun {
		if res.Capabilities.ObjectLock {
			r.say("The store locks objects: for its time (daily 14 days, weekly 56, monthly 730) nobody can delete a snapshot, with whatever credentials.")
		}
		for _, weaker := range backup.Weaker(repo.Pin{ObjectLock: res.Capabilities.ObjectLock, Unconditional: !res.Capabilities.IfAbsent}) {
			r.say("Mind: %s.", weaker)
		}
		r.say("Carry %s off this host. Next: practicectl backup run", res.OwnerKey)
	}
	return err
}

// storeCredentials is the file with the store's credentials in the credential folder.
const storeCredentials = "store-credentials.toml"

// keepCredentials copies the store's credentials into the instance's credential folder, where the section then finds them.
func keepCredentials(b *config.Backup, l paths.Layout) error {
	if err := os.MkdirAll(l.Cred(), 0o700); err != nil {
		return uerr.New(uerr.Precond, "make the credential folder", l.Cred(), err, "run the command as the account that owns the instance")
	}
	if !strings.HasPrefix(b.Store, "s3://") {
		abs, err := filepath.Abs(b.Store)
		b.Store = abs
		return err
	}
	if _, _, err := readCredentials(b.Credentials); err != nil {
		return err
	}
	data, err := os.ReadFile(b.Credentials)
	if err == nil {
		b.Credentials = filepath.Join(l.Cred(), storeCredentials)
		err = atomicfile.WriteBytes(b.Credentials, 0o600, data)
	}
	if err != nil {
		return uerr.New(uerr.Precond, "keep the credentials of the store in", l.Cred(), err, "")
	}
	return nil
}

var notInHostName = regexp.MustCompile(`[^a-z0-9-]+`)

// hostName is the default name of this host in a repository.
func hostName(l paths.Layout) string {
	name, err := os.Hostname()
	if err != nil {
		name = "host"
	}
	name = strings.Trim(notInHostName.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return fmt.Sprintf("%.48s-%.15s", name, l.Instance)
}
