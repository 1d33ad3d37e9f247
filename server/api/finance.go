package api

import (
	"practicectl/internal/api"
	"practicectl/server/finance"
	"practicectl/server/problem"

	"github.com/google/uuid"
)

func listInvoices(c *call) (any, error) {
	p := c.params("patient", "status", "ref_no", "limit", "after")
	q := finance.Query{Patient: p.uuid("patient"), Status: p.Get("status"), RefNo: p.Get("ref_no"), Limit: p.number("limit"), Offset: p.number("after")}
	if p.err != nil {
		return nil, p.err
	}
	return c.svc.Finance.List(c.ctx, c.who, q)
}

func createInvoice(c *call) (any, error) {
	return withBody(c, func(in api.NewInvoice) (any, error) { return c.svc.Finance.Create(c.ctx, c.who, in) })
}

func getInvoice(c *call) (any, error) {
	return c.withID(func(id uuid.UUID) (any, error) { return c.svc.Finance.Get(c.ctx, c.who, id) })
}

func payInvoice(c *call) (any, error) {
	return withBoth(c, func(id uuid.UUID, in api.NewPayment) (any, error) { return c.svc.Finance.Pay(c.ctx, c.who, id, in) })
}

func cancelInvoice(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	var in api.VersionOnly
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Version == 0 {
		return nil, problem.Field("version", "required")
	}
	return c.svc.Finance.Cancel(c.ctx, c.who, id, in.Version)
}
