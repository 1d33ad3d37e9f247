package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"practicectl/backup"
	"practicectl/internal/config"
	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/objstore/s3"
	"practicectl/internal/pgcluster"
	"practicectl/internal/sealed"
	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// storeFlags name a store on the command line, for machines without a configuration.
type storeFlags struct {
	store, endpoint, region, credentials string
	name                                 string // of a copy in the configuration
}

func (s *storeFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&s.store, "store", "", "folder, or s3://BUCKET/PREFIX, instead of the configured store")
	f.StringVar(&s.endpoint, "endpoint", "", "URL of the S3 service, such as https://s3.example.org")
	f.StringVar(&s.region, "region", "", "region of the bucket, where the service wants one")
	f.StringVar(&s.credentials, "credentials-file", "", "file with access_key_id and secret_access_key of the store")
}

// bindName adds the flag that names a copy of the configuration.
func (s *storeFlags) bindName(f *pflag.FlagSet) {
	f.StringVar(&s.name, "store-name", "", "name of a [[backup.copy]] instead of the main store")
}

// section is the [backup] section to use: the flags' when they name a store, else the configured one.
func (s storeFlags) section(r *run) (config.Backup, error) {
	if s.store != "" && s.name != "" {
		return config.Backup{}, usageError(r.cmd, errors.New("name one store: --store, or a copy of the configuration"))
	}
	if s.store != "" {
		return config.Backup{Store: s.store, Endpoint: s.endpoint, Region: s.region, Credentials: s.credentials}, nil
	}
	if s.endpoint != "" || s.region != "" || s.credentials != "" {
		return config.Backup{}, usageError(r.cmd, errors.New("--endpoint, --region and --credentials-file go with --store"))
	}
	c, err := r.config()
	if err != nil {
		return config.Backup{}, err
	}
	if c.Backup.Store == "" {
		return config.Backup{}, uerr.New(uerr.NotFound, "open the backup repository", "", errors.New("this instance has none"), "practicectl backup init, or name one with --store")
	}
	if s.name != "" {
		one, err := copyNamed(c, s.name)
		if err != nil {
			return config.Backup{}, err
		}
		l, err := r.layout()
		return sectionOf(one, l), err
	}
	b := c.Backup
	if b.Credentials != "" && !filepath.IsAbs(b.Credentials) {
		l, err := r.layout()
		if err != nil {
			return b, err
		}
		b.Credentials = filepath.Join(l.Cred(), b.Credentials)
	}
	return b, nil
}

// openStore opens the store of a [backup] section. create makes a folder that is missing.
func (r *run) openStore(b config.Backup, create bool) (objstore.Store, error) {
	st, err := r.openPlainStore(b, create)
	if err != nil || b.Limit == "" {
		return st, err
	}
	rate, err := config.ParseRate(b.Limit)
	if err != nil {
		return nil, uerr.New(uerr.Config, "read backup.limit", b.Limit, err, `write it like "2MiB/s"`)
	}
	hours, err := config.ParseHours(b.LimitHours)
	if err != nil {
		return nil, uerr.New(uerr.Config, "read backup.limit_hours", b.LimitHours, err, `write them like "07:00-19:00"`)
	}
	loc := r.location()
	return objstore.LimitBy(st, func(now time.Time) int64 {
		if hours.Contain(now.In(loc)) {
			return rate
		}
		return 0
	}), nil
}

func (r *run) openPlainStore(b config.Backup, create bool) (objstore.Store, error) {
	where, ok := strings.CutPrefix(b.Store, "s3://")
	if !ok {
		if create {
			return dir.Create(b.Store)
		}
		return dir.Open(b.Store)
	}
	bucket, prefix, _ := strings.Cut(where, "/")
	access, key, err := readCredentials(b.Credentials)
	if err != nil {
		return nil, err
	}
	return s3.Open(s3.Options{Endpoint: b.Endpoint, Region: b.Region, Bucket: bucket, Prefix: strings.Trim(prefix, "/"), AccessKey: access, SecretKey: key,
		Proxy: proxyFrom(r.app.Getenv)})
}

// readCredentials reads a store's credentials file.
func readCredentials(path string) (access, key secret.Text, err error) {
	const op, hint = "read the credentials file of the store", "write it like this, readable for nobody else:\naccess_key_id = \"…\"\nsecret_access_key = \"…\""
	if path == "" {
		return access, key, uerr.New(uerr.Usage, op, "", errors.New("none was named"), "give --credentials-file FILE")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return access, key, uerr.New(uerr.Auth, op, path, err, hint)
	}
	var f struct {
		Access string `toml:"access_key_id"`
		Secret string `toml:"secret_access_key"`
	}
	// The decoder's own error would quote the file.
	if err := toml.Unmarshal(data, &f); err != nil || f.Access == "" || f.Secret == "" {
		return access, key, uerr.New(uerr.Auth, op, path, errors.New("it has not both keys"), hint)
	}
	return secret.New(f.Access), secret.New(f.Secret), nil
}

// identityFlags name the offline key.
type identityFlags struct {
	files      []string
	passphrase string
}

func (i *identityFlags) bind(f *pflag.FlagSet, use string) {
	f.StringArrayVar(&i.files, "identity", nil, "identity file "+use+", - for stdin; may be repeated")
	f.StringVar(&i.passphrase, "passphrase-file", "", "file with the passphrase of the identity file, - for stdin")
}

func (i identityFlags) load(r *run) ([]age.Identity, error) {
	var out []age.Identity
	for _, path := range i.files {
		ids, err := sealed.LoadIdentities(path, sealed.Ask{Stdin: r.app.In, Plugin: r.pluginUI(), Passphrase: func() (secret.Text, error) {
			return r.readSecret("passphrase-file", "Passphrase of "+path, i.passphrase)
		}})
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	return out, nil
}

// storeToRead opens the store that is named or configured, and loads the identities.
func (r *run) storeToRead(s storeFlags, i identityFlags) (objstore.Store, backup.Keys, error) {
	b, err := s.section(r)
	if err != nil {
		return nil, backup.Keys{}, err
	}
	ids, err := i.load(r)
	if err != nil {
		return nil, backup.Keys{}, err
	}
	st, err := r.openStore(b, false)
	return st, backup.Keys{Identities: ids}, err
}

// openForReading opens a repository with the identities, if any, and with this host's pin when it is the configured one.
func (r *run) openForReading(ctx context.Context, s storeFlags, i identityFlags) (*backup.Repo, error) {
	return r.openOf(ctx, s, i, "")
}

// openOf is openForReading of a repository that belongs to the key in ownerFile; "": to anybody.
func (r *run) openOf(ctx context.Context, s storeFlags, i identityFlags, ownerFile string) (*backup.Repo, error) {
	st, k, err := r.storeToRead(s, i)
	if err != nil {
		return nil, err
	}
	if ownerFile != "" {
		if k.Owner, err = backup.OwnerOf(ownerFile); err != nil {
			return nil, err
		}
	}
	if s.store == "" {
		own, err := r.hostKeys()
		if err != nil {
			return nil, err
		}
		k.Pin = own.Pin
	}
	return backup.Open(ctx, st, k)
}

func (r *run) hostKeys() (backup.Keys, error) {
	l, err := r.layout()
	if err != nil {
		return backup.Keys{}, err
	}
	return backup.LoadKeys(l.Cred())
}

// openForWriting opens the configured repository as this host. The configuration comes back with an error too when it names a
// repository.
func (r *run) openForWriting(ctx context.Context) (*backup.Repo, *config.File, error) {
	c, err := r.config()
	if err != nil {
		return nil, nil, err
	}
	b, err := storeFlags{}.section(r)
	if err != nil {
		return nil, nil, err
	}
	k, err := r.hostKeys()
	if err != nil {
		return nil, c, err
	}
	st, err := r.openStore(b, false)
	if err != nil {
		return nil, c, err
	}
	repository, err := backup.Open(ctx, st, k)
	return repository, c, err
}

// backupSource is what a snapshot of the instance holds: its database, its configuration, and what was named.
func (r *run) backupSource(c *config.File) (backup.Source, error) {
	l, err := r.layout()
	if err != nil {
		return backup.Source{}, err
	}
	src := backup.Source{Paths: []string{l.Etc()}}
	for _, p := range c.Backup.Paths {
		if !filepath.IsAbs(p) {
			return src, uerr.New(uerr.Config, "read backup.paths", p, errors.New("it is no absolute path"), "write it from the root, such as /srv/scans")
		}
		src.Paths = append(src.Paths, p)
	}
	cluster := pgcluster.At(l, pgcluster.Binaries{}, c.Database.Port)
	src.Database = &backup.Database{ConnString: cluster.ConnString(pgcluster.RoleBackup, c.Database.Name), Data: cluster.Data}
	return src, nil
}
