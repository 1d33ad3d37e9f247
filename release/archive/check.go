package archive

import (
	"context"
	"io"
	"os"

	"practicectl/internal/uerr"
)

// Check reads a whole archive and checks every byte of it as Unpack does, in a temporary folder that it removes.
// Error kinds as of Unpack.
func Check(ctx context.Context, r io.Reader) (m Manifest, err error) {
	dir, err := os.MkdirTemp("", "component-check-")
	if err != nil {
		return Manifest{}, uerr.New(uerr.Precond, "check the archive", "", err, "")
	}
	defer func() {
		if rm := os.RemoveAll(dir); err == nil {
			err = rm
		}
	}()
	return Unpack(ctx, r, dir)
}
