package cli

import (
	"errors"

	"practicectl/internal/uerr"
	"practicectl/mirror"
)

var errNoMirror = errors.New("the configuration does not say")

// mirrorDir is the folder of the mirror: --dir, or the configuration's.
func (r *run) mirrorDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	cfg, err := r.config()
	if err != nil {
		return "", uerr.New(uerr.KindOf(err), "find the mirror", "", err, "name its folder with --dir")
	}
	if cfg.Mirror.Dir == "" {
		return "", uerr.New(uerr.Config, "find the mirror", "", errNoMirror, "name its folder with --dir, or set [mirror] dir in the configuration")
	}
	return cfg.Mirror.Dir, nil
}

// syncOptions are the same for a sync by hand and one on schedule.
func (r *run) syncOptions() mirror.SyncOptions {
	return mirror.SyncOptions{Now: r.now, Progress: r.progress, Wait: r.global.lockTimeout, Proxy: proxyFrom(r.app.Getenv)}
}
