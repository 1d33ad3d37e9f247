package updater

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"practicectl/internal/atomicfile"
	"practicectl/internal/uerr"
)

// Notice is what the users are told before an update. The core server shows it to everybody who is signed in.
type Notice struct {
	Version   string    `json:"version"`
	Severity  string    `json:"severity"`
	Published time.Time `json:"published"`  // when this machine began to show it
	NotBefore time.Time `json:"not_before"` // the earliest date of the installation
	Notes     string    `json:"notes"`      // complete release notes, Markdown
}

// ReadNotices returns the notices in the file at path by version. A missing file has none. Error kind: Integrity.
func ReadNotices(path string) (map[string]Notice, error) {
	all := map[string]Notice{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return nil, uerr.New(uerr.Integrity, "read the update notices", path, err, "delete the file; the notice period begins anew")
	}
	return all, nil
}

// notice makes sure that the users are told of pl, unless dry, and writes into pl from when on it may be installed.
func (u *Updater) notice(pl *Plan, days int, dry bool) error {
	if days <= 0 || pl.Mandatory {
		return nil
	}
	all, err := ReadNotices(u.o.Notices)
	if err != nil {
		return err
	}
	n, published := all[pl.Transition.To]
	if !published {
		now := u.o.Now().UTC().Truncate(time.Second)
		n = Notice{Version: pl.Transition.To, Severity: pl.Severity, Published: now, NotBefore: now.AddDate(0, 0, days), Notes: pl.Notes}
		if !dry {
			if err := u.publish(n); err != nil {
				return uerr.New(uerr.Precond, "tell the users of the update", u.o.Notices, err, "run it as the user that owns the installation")
			}
		}
	}
	pl.NotBefore = n.NotBefore
	return nil
}

// publish replaces the notice: older ones are installed or overtaken.
func (u *Updater) publish(n Notice) error {
	data, err := json.MarshalIndent(map[string]Notice{n.Version: n}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(u.o.Notices), 0o755); err != nil {
		return err
	}
	return atomicfile.WriteBytes(u.o.Notices, 0o644, append(data, '\n'))
}

// noticeOver refuses an update before the end of its notice. remark is the reason of somebody who sets that aside.
func (u *Updater) noticeOver(pl *Plan, remark string) error {
	if remark != "" || !u.o.Now().Before(pl.NotBefore) {
		return nil
	}
	return uerr.New(uerr.Precond, "update to", pl.Transition.To,
		fmt.Errorf("the users were promised that it does not come before %s", pl.NotBefore.Format(time.DateTime+" MST")),
		`wait, or set the notice aside with a reason: practicectl update apply --skip-notice "REASON"`)
}
