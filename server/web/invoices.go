package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/charting"
	"practicectl/server/finance"
	"practicectl/server/problem"
)

// invoiceList is one page of invoices.
type invoiceList struct {
	Status, RefNo  string
	Invoices       []api.Invoice
	Earlier, Later string
	Today          api.Date
}

const invoicesPerPage = 40

func listInvoices(p *page) error {
	q := p.query()
	after := q.number("after")
	if err := q.err(); err != nil {
		return err
	}
	d := invoiceList{Status: q.text("status"), RefNo: q.text("ref_no"), Today: api.Date(p.opts.Now().In(p.zone).Format(time.DateOnly))}
	var err error
	if d.Invoices, err = p.svc.Finance.List(p.ctx, p.who, finance.Query{Status: d.Status, RefNo: d.RefNo, Limit: invoicesPerPage + 1, Offset: after}); err != nil {
		return err
	}
	if len(d.Invoices) > invoicesPerPage {
		d.Invoices, d.Later = d.Invoices[:invoicesPerPage], d.address(after+invoicesPerPage)
	}
	if after > 0 {
		d.Earlier = d.address(max(after-invoicesPerPage, 0))
	}
	return p.show(screen{name: "invoices", title: "invoices.title", section: "invoices", data: d})
}

func (d invoiceList) address(after int) string {
	v := url.Values{"after": {strconv.Itoa(after)}}
	if d.Status != "" {
		v.Set("status", d.Status)
	}
	return "/invoices?" + v.Encode()
}

// Overdue tells whether an invoice should have been paid by now.
func (d invoiceList) Overdue(v api.Invoice) bool { return v.Status == "open" && v.DueOn < d.Today }

// billing is the form of a new invoice.
type billing struct {
	P                   api.Patient
	Unbilled            []api.Session
	Chosen              map[uuid.UUID]bool
	Issued, Due         string
	Recipient, Remark   string
	Description, Amount string // one line besides sessions
	Currency            string
}

func billable(s api.Session) bool { return s.Status == "held" && !s.Billed && s.PriceMinor > 0 }

func (p *page) billing(patient uuid.UUID) (billing, error) {
	d := billing{Chosen: map[uuid.UUID]bool{}, Currency: p.opts.Currency}
	var err error
	if d.P, err = p.svc.Records.Get(p.ctx, p.who, patient); err != nil {
		return d, err
	}
	sessions, err := p.svc.Charting.List(p.ctx, p.who, charting.Query{Patient: &patient, Limit: 2000})
	for _, s := range sessions {
		if billable(s) {
			d.Unbilled = append(d.Unbilled, s)
		}
	}
	return d, err
}

func newInvoice(p *page) error {
	if err := p.who.Require(authz.Invoices, authz.Add); err != nil {
		return err
	}
	patient := p.query().id("patient")
	if patient == nil {
		return problem.New(problem.NotFound, nil)
	}
	d, err := p.billing(*patient)
	if err != nil {
		return err
	}
	for _, s := range d.Unbilled {
		d.Chosen[s.ID] = true
	}
	now := p.opts.Now().In(p.zone)
	d.Issued, d.Due = now.Format(time.DateOnly), now.AddDate(0, 0, 14).Format(time.DateOnly)
	d.Recipient = recipient(d.P)
	return p.show(screen{name: "invoiceform", title: "invoice.new", section: "invoices", data: d})
}

// recipient is a patient's name and address as on an envelope.
func recipient(v api.Patient) string {
	out := ""
	for _, part := range []string{v.Title, v.GivenName, v.FamilyName} {
		if part != "" && out != "" {
			out += " "
		}
		out += part
	}
	if v.Street != "" {
		out += "\n" + v.Street
	}
	if v.PostalCode+v.City != "" {
		out += "\n" + v.PostalCode + " " + v.City
	}
	return out
}

func createInvoice(p *page) error {
	f := p.form
	patient := f.id("patient")
	if patient == nil {
		return problem.New(problem.NotFound, nil)
	}
	n := api.NewInvoice{PatientID: *patient, IssuedOn: api.Date(f.text("issued_on")), DueOn: api.Date(f.text("due_on")), Recipient: f.text("recipient"),
		Remark: f.text("remark"), Currency: p.opts.Currency}
	chosen := map[uuid.UUID]bool{}
	for _, v := range f.Values["session"] {
		id, err := uuid.Parse(v)
		if err != nil {
			return problem.Field("session", "invalid")
		}
		chosen[id] = true
		n.Sessions = append(n.Sessions, id)
	}
	if f.text("description") != "" {
		n.Lines = append(n.Lines, api.NewCharge{PerformedOn: n.IssuedOn, Description: f.text("description"), Quantity: 1, UnitMinor: f.money("amount")})
	}
	var v api.Invoice
	err := f.err()
	if err == nil {
		v, err = p.svc.Finance.Create(p.ctx, p.who, n)
	}
	if err == nil {
		return p.see("/invoices/"+v.ID.String(), "invoice")
	}
	errs, bad := invalid(err)
	s := screen{name: "invoiceform", title: "invoice.new", section: "invoices", errors: errs, status: http.StatusUnprocessableEntity}
	switch {
	case problem.Is(err, problem.Conflict):
		s.alert, s.status = "invoice.billed_meanwhile", problem.Conflict.Status()
	case bad && errs["lines"] != "":
		s.alert = "invoice.nothing_chosen"
	case !bad:
		return err
	}
	d, err := p.billing(*patient)
	if err != nil {
		return err
	}
	d.Chosen, d.Issued, d.Due, d.Recipient, d.Remark = chosen, f.text("issued_on"), f.text("due_on"), n.Recipient, n.Remark
	d.Description, d.Amount = f.text("description"), f.text("amount")
	s.data = d
	return p.show(s)
}

// bill is an invoice's page.
type bill struct {
	V       api.Invoice
	Today   string
	Amount  string // what is open, for the payment's form
	Overdue bool
}

func showInvoice(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	return p.bill(id, screen{})
}

func (p *page) bill(id uuid.UUID, s screen) error {
	v, err := p.svc.Finance.Get(p.ctx, p.who, id)
	if err != nil {
		return err
	}
	d := bill{V: v, Today: p.opts.Now().In(p.zone).Format(time.DateOnly), Amount: p.lang.amount(max(v.TotalMinor-v.PaidMinor, 0))}
	d.Overdue = v.Status == "open" && string(v.DueOn) < d.Today
	s.name, s.title, s.section, s.data = "invoice", p.lang.t("invoice.number", v.RefNo), "invoices", d
	return p.show(s)
}

func payInvoice(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	f := p.form
	n := api.NewPayment{ReceivedOn: api.Date(f.text("received_on")), AmountMinor: f.money("amount"), Method: f.text("method")}
	if err = f.err(); err == nil {
		_, err = p.svc.Finance.Pay(p.ctx, p.who, id, n)
	}
	if errs, ok := invalid(err); ok {
		if e := errs["amount_minor"]; e != "" {
			errs["amount"] = e
		}
		return p.bill(id, screen{errors: errs, status: http.StatusUnprocessableEntity})
	}
	if problem.Is(err, problem.Locked) {
		return p.bill(id, screen{alert: "invoice.is_cancelled", status: problem.Locked.Status()})
	}
	if err != nil {
		return err
	}
	return p.see("/invoices/"+id.String(), "payment")
}

func cancelInvoice(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	version := p.form.version()
	if err = p.form.err(); err == nil {
		_, err = p.svc.Finance.Cancel(p.ctx, p.who, id, version)
	}
	switch {
	case problem.Is(err, problem.Locked):
		return p.bill(id, screen{alert: "invoice.has_payments", status: problem.Locked.Status()})
	case problem.Is(err, problem.Stale):
		return p.bill(id, screen{alert: "invoice.stale", status: problem.Stale.Status()})
	case err != nil:
		return err
	}
	return p.see("/invoices/"+id.String(), "invoice_cancelled")
}
