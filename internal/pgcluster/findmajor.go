package pgcluster

import (
	"context"
	"errors"
	"fmt"

	"practicectl/internal/uerr"
)

// FindMajor returns a PostgreSQL of a major version: the one in dir, or when dir is empty the distribution's. Error kind:
// Precond.
func FindMajor(ctx context.Context, dir string, major int) (Binaries, error) {
	if dir == "" {
		return findSystem(ctx, systemDirs, major)
	}
	b, err := Find(ctx, ProviderSystem, dir)
	if err == nil && b.Major != major {
		err = uerr.New(uerr.Precond, "use the PostgreSQL in", dir, errors.New("it is version "+b.Version), fmt.Sprintf("name one of version %d", major))
	}
	return b, err
}
