package backup

import (
	"context"

	"practicectl/backup/stream"
)

// StreamOptions of a stream; see [stream.Options].
type StreamOptions = stream.Options

// Stream brings the log of a running cluster into the repository while it is written, until ctx ends; see [stream.Run]. The
// recipients of the host's configuration are compared with the signed ones; nil: not compared.
func Stream(ctx context.Context, r *Repo, recipients []string, o StreamOptions) error {
	if _, err := mayWrite(r, "stream the log into"); err != nil {
		return err
	}
	if recipients != nil {
		if err := r.CheckRecipients(recipients); err != nil {
			return err
		}
	}
	return stream.Run(ctx, r, o)
}
