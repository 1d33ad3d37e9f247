package cli

import (
	"context"
	"errors"
	"os"

	"practicectl/backup"
	"practicectl/backup/proof"
	"practicectl/internal/pgcluster"
	"practicectl/internal/uerr"
)

// proofOptions say how a restored database is proved.
type proofOptions struct {
	mode  string // "auto", "always" or "never"
	bin   string
	owner string
}

// proof makes the options of a restore: who owns the files, and how the database is proved.
func (r *run) proof(ctx context.Context, plan *backup.RestorePlan, p proofOptions) (backup.RestoreOptions, error) {
	o := backup.RestoreOptions{Now: r.now}
	var old string
	if plan.InPlace {
		old = plan.DataDir(plan.Target)
	}
	own, account, err := owner(p.owner, old)
	if err != nil {
		return o, err
	}
	o.Own = own
	if p.mode == "never" || !plan.HasDatabase() {
		return o, nil
	}
	bin, err := r.postgresFor(ctx, p.bin, plan.Snapshot.Database.Major)
	if err == nil && os.Geteuid() == 0 && account == nil {
		err = uerr.New(uerr.Precond, "prove the restored database", plan.Target, errors.New("PostgreSQL does not run as root"), "give --owner ACCOUNT, or run the command as an ordinary user")
	}
	if err != nil {
		if p.mode == "always" {
			return o, err
		}
		r.log.Info("the restored database is not started", "why", err.Error())
		return o, nil
	}
	o.Prove = func(ctx context.Context, dir string) error {
		return proof.Start(ctx, proof.Options{Bin: bin, Account: account, Data: plan.DataDir(dir), Invariants: r.invariants()})
	}
	return o, nil
}

// owner is who restored files are given to: the named account; or, for root, whoever owns what is brought back.
func owner(name, old string) (own func(path string) error, account *pgcluster.Account, err error) {
	if name == "" && old != "" && os.Geteuid() == 0 {
		name = ownerOf(old)
	}
	if name == "" {
		return nil, nil, nil
	}
	if account, err = pgcluster.LookupAccount(name); err != nil {
		return nil, nil, err
	}
	return func(path string) error { return os.Lchown(path, int(account.UID), int(account.GID)) }, account, nil
}

// postgresFor finds the programs of a major version: in the named folder, those of the instance, or the system's.
func (r *run) postgresFor(ctx context.Context, dir string, major int) (pgcluster.Binaries, error) {
	if dir == "" {
		l, err := r.layout()
		if err != nil {
			return pgcluster.Binaries{}, err
		}
		if c, err := r.config(); err == nil {
			if bin, err := pgcluster.FindMajor(ctx, pgBin(l, c.Database), major); err == nil {
				return bin, nil
			}
		}
	}
	return pgcluster.FindMajor(ctx, dir, major)
}
