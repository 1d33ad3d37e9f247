package pgcluster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A restored copy keeps to itself by a block of settings at the end of postgresql.auto.conf, between these lines. They hold until
// the copy has recovered and is configured as a practice of its own.
const (
	TameBegin = "# Written by practicectl restore: until it is put into service this copy neither archives, replicates nor listens."
	TameEnd   = "# End of what practicectl restore wrote."
)

const autoConf = "postgresql.auto.conf"

// Untamed is conf without the block that a restore has written.
func Untamed(conf string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(conf) {
		switch strings.TrimRight(line, "\r\n") {
		case TameBegin:
			inside = true
		case TameEnd:
			inside = false
		default:
			if !inside {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// release takes a restored copy's block of settings away once its first recovery is over: whoever configures it then puts it into
// service.
func (c *Cluster) release() error {
	for _, name := range []string{"backup_label", "recovery.signal", "standby.signal"} {
		if _, err := os.Lstat(filepath.Join(c.Data, name)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	name := filepath.Join(c.Data, autoConf)
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if text := Untamed(string(old)); text != string(old) {
		return c.write(autoConf, []byte(text))
	}
	return nil
}
