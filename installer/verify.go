package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"practicectl/internal/svc"
	"practicectl/internal/uerr"
	"practicectl/release/archive"
)

// Finding is what verifying one component found.
type Finding struct {
	Component string   `json:"component"`
	Version   string   `json:"version"`
	OK        bool     `json:"ok"`
	Problems  []string `json:"problems"`
}

// Verify compares what is on the machine with the receipts: files, live version, services, and that nobody else can
// read the secrets. names limits it; none means all. Error kinds: NotFound, Integrity when anything differs.
func (i *Installer) Verify(ctx context.Context, names []string) ([]Finding, error) {
	all, err := ReadReceipts(i.o.Layout.Receipts())
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if _, err := ReadReceipt(i.o.Layout.Receipts(), n); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, uerr.New(uerr.NotFound, "verify", i.o.Layout.Instance, errors.New("nothing is installed"), "practicectl install --from DIR|URL")
	}
	findings := []Finding{}
	var bad []string
	for _, r := range all {
		if len(names) > 0 && !slices.Contains(names, r.Component) {
			continue
		}
		f := Finding{Component: r.Component, Version: r.Version, Problems: []string{}}
		for _, p := range i.problems(ctx, r) {
			f.Problems = append(f.Problems, p.Error())
		}
		if f.OK = len(f.Problems) == 0; !f.OK {
			bad = append(bad, r.Component)
		}
		findings = append(findings, f)
	}
	if len(names) == 0 {
		f := Finding{Component: "credentials", Problems: exposed(i.o.Layout.Cred())}
		if f.OK = len(f.Problems) == 0; !f.OK {
			bad = append(bad, f.Component)
		}
		findings = append(findings, f)
	}
	if len(bad) > 0 {
		return findings, uerr.New(uerr.Integrity, "verify", strings.Join(bad, ", "), errors.New("not as installed"), "put it right: practicectl install")
	}
	return findings, nil
}

func (i *Installer) problems(ctx context.Context, r Receipt) []error {
	var all []error
	if r.FilesSHA256 != "" {
		all = append(all, i.fileProblems(r)...)
	} else if _, err := os.Stat(r.Dir); err != nil {
		all = append(all, err)
	}
	for _, name := range r.Services {
		st, err := i.o.Services.Status(ctx, name)
		if err == nil && st.State != svc.Running {
			err = fmt.Errorf("service %s is %s", name, st.State)
		}
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

func (i *Installer) fileProblems(r Receipt) []error {
	live, err := i.slots(r.Component).Current()
	if err != nil {
		return []error{err}
	}
	var all []error
	if live != r.Version {
		all = append(all, fmt.Errorf("version %s is live, the receipt says %s", live, r.Version))
	}
	sum, err := manifestSum(r.Dir)
	if err != nil {
		return append(all, err)
	}
	if sum != r.FilesSHA256 {
		all = append(all, errors.New("its list of files is not the one that was installed"))
	}
	if err := archive.VerifyDir(r.Dir); err != nil {
		all = append(all, errors.Unwrap(err))
	}
	return all
}

// exposed names secret files that others may read.
func exposed(dir string) []string {
	found := []string{}
	if runtime.GOOS == "windows" {
		return found // access is a matter of the folder's list there
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch ext := filepath.Ext(path); {
		case d.IsDir() && info.Mode().Perm()&0o077 != 0:
			found = append(found, fmt.Sprintf("%s may be entered by others: chmod 700", path))
		case !d.IsDir() && ext != ".crt" && ext != ".pub" && info.Mode().Perm()&0o077 != 0:
			found = append(found, fmt.Sprintf("%s may be read by others: chmod 600", path))
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		found = append(found, err.Error())
	}
	return found
}
