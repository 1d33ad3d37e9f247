package pgcluster

import (
	"context"
	"errors"
	"fmt"

	"practicectl/internal/uerr"
)

// PrepareOptions says what Prepare prepares.
type PrepareOptions struct {
	Settings Settings
	Database string       // empty: DefaultDatabase
	Made     func() error // told once the data directory is there, before the server runs for the first time; optional
}

// Prepare makes a cluster ready for a practice: Init where there is none, Configure, Bootstrap. It converges on a cluster
// that is there already. A server that ran before runs after it, otherwise none does. Error kinds: Precond (port taken,
// root), NoSpace, Auth.
func Prepare(ctx context.Context, c *Cluster, o PrepareOptions) error {
	if !c.Initialized() {
		if err := c.CheckPort(ctx); err != nil { // before anything is made
			return err
		}
		if err := c.Init(ctx, InitOptions{Settings: o.Settings}); err != nil {
			return err
		}
	} else if err := c.reconfigure(ctx, o.Settings); err != nil {
		return err
	}
	if o.Made != nil {
		if err := o.Made(); err != nil {
			return err
		}
	}
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if st.State == Running {
		return Bootstrap(ctx, c, BootstrapOptions{Database: o.Database})
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	err = Bootstrap(ctx, c, BootstrapOptions{Database: o.Database})
	return errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
}

// reconfigure refuses to move a running server to another port: nobody would find it.
func (c *Cluster) reconfigure(ctx context.Context, s Settings) error {
	const op = "bring the database in order"
	if err := c.usable(op); err != nil {
		return err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if st.State != Stopped && st.Port != c.Port {
		return uerr.New(uerr.Precond, op, c.Data, fmt.Errorf("the server runs on port %d, asked for is %d", st.Port, c.Port),
			"stop it first: practicectl db stop")
	}
	return c.Configure(ctx, s)
}
