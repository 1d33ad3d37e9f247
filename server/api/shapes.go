package api

import (
	"context"

	"github.com/google/uuid"

	"practicectl/server/authz"
	"practicectl/server/problem"
)

// The shapes that most handlers have: something is done to the record that the address names, with the body, or both.

func (c *call) withID(do func(id uuid.UUID) (any, error)) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return do(id)
}

func withBody[In any](c *call, do func(in In) (any, error)) (any, error) {
	var in In
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return do(in)
}

func withBoth[In any](c *call, do func(id uuid.UUID, in In) (any, error)) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) {
		return withBody(c, func(in In) (any, error) { return do(id, in) })
	})
}

// patch lays the body over the record as it is now, so that what it does not name stays. The body must name the version
// it is about; when that is not the newest, the answer carries the record as it is.
func patch[T any](c *call, get func(context.Context, *authz.Caller, uuid.UUID) (T, error), update func(context.Context, *authz.Caller, T) (T, error),
	identity func(*T) (id *uuid.UUID, version *int64)) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) {
		v, err := get(c.ctx, c.who, id)
		if err != nil {
			return nil, err
		}
		c.current = v
		own, version := identity(&v)
		*version = 0
		if err := c.body(&v); err != nil {
			return nil, err
		}
		*own = id
		if *version == 0 {
			return nil, problem.Field("version", "required")
		}
		out, err := update(c.ctx, c.who, v)
		return out, c.onlyIfStale(err)
	})
}
