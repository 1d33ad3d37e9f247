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
	"practicectl/server/records"
	"practicectl/server/schedule"
)

const perPage = 30

// patientList is one page of a search.
type patientList struct {
	Text     string
	Archived bool
	Found    api.Page[api.Patient]
	First    int // number of the first one shown, from 1
	Last     int
	Earlier  string // address, "" when there is none
	Later    string
	Names    names
}

func searchPatients(p *page) error {
	q := p.query()
	d := patientList{Text: q.text("q"), Archived: q.Get("archived") == "1"}
	after := q.number("after")
	if err := q.err(); err != nil {
		return err
	}
	var err error
	if d.Found, err = p.svc.Records.Search(p.ctx, p.who, records.Query{Text: firstChars(d.Text, 200), Archived: d.Archived, Limit: perPage, Offset: after}); err != nil {
		return err
	}
	if d.Names, err = p.names(); err != nil {
		return err
	}
	d.First, d.Last = after+1, after+len(d.Found.Items)
	if after > 0 {
		d.Earlier = d.address(max(after-perPage, 0))
	}
	if d.Last < d.Found.Total {
		d.Later = d.address(after + perPage)
	}
	return p.show(screen{name: "patients", title: "patients.title", section: "patients", data: d})
}

func (d patientList) address(after int) string {
	v := url.Values{}
	if d.Text != "" {
		v.Set("q", d.Text)
	}
	if d.Archived {
		v.Set("archived", "1")
	}
	if after > 0 {
		v.Set("after", strconv.Itoa(after))
	}
	if len(v) == 0 {
		return "/patients"
	}
	return "/patients?" + v.Encode()
}

// patientRecord is everything on a patient's page that the caller may see.
type patientRecord struct {
	P            api.Patient
	Names        names
	Sessions     []api.Session
	Open         map[uuid.UUID]string // session → state of its note when it is not signed
	Coming, Past []api.Appointment
	Invoices     []api.Invoice
	Documents    []api.Document
	Shares       []api.Share
	MayShare     bool
	Now          time.Time
}

const sessionsShown = 12

func showPatient(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	d, err := p.record(id)
	if err != nil {
		return err
	}
	return p.show(screen{name: "patient", title: fullName(d.P), section: "patients", data: d})
}

func (p *page) record(id uuid.UUID) (patientRecord, error) {
	d := patientRecord{Now: p.opts.Now(), Open: map[uuid.UUID]string{}}
	var err error
	if d.P, err = p.svc.Records.Get(p.ctx, p.who, id); err != nil {
		return d, err
	}
	if d.Names, err = p.names(); err != nil {
		return d, err
	}
	for _, part := range []struct {
		feature string
		read    func() error
	}{
		{authz.Sessions, func() (err error) {
			d.Sessions, err = p.svc.Charting.List(p.ctx, p.who, charting.Query{Patient: &id, Limit: 500})
			return err
		}},
		{authz.Notes, func() error {
			open, err := p.svc.Charting.OpenNotes(p.ctx, p.who, charting.Query{Patient: &id, From: time.Unix(0, 0), To: d.Now})
			for _, n := range open {
				d.Open[n.Session] = n.Status
			}
			return err
		}},
		{authz.Appointments, func() error {
			list, err := p.svc.Schedule.List(p.ctx, p.who, schedule.Query{Patient: &id, From: d.Now.AddDate(0, -2, 0), To: d.Now.AddDate(1, 0, 0), Cancelled: true})
			for _, a := range list {
				if a.End.After(d.Now) && a.Status != "cancelled" {
					d.Coming = append(d.Coming, a)
				} else {
					d.Past = append([]api.Appointment{a}, d.Past...)
				}
			}
			return err
		}},
		{authz.Invoices, func() (err error) {
			d.Invoices, err = p.svc.Finance.List(p.ctx, p.who, finance.Query{Patient: &id, Limit: 50})
			return err
		}},
		{authz.Documents, func() (err error) {
			d.Documents, err = p.svc.Documents.List(p.ctx, p.who, id)
			return err
		}},
		{authz.Shares, func() (err error) {
			d.Shares, err = p.svc.Records.Shares(p.ctx, p.who, id)
			return err
		}},
	} {
		if !p.who.Can(part.feature, authz.View) {
			continue
		}
		if err := part.read(); err != nil {
			return d, err
		}
	}
	d.MayShare = p.mayShare(d.P)
	return d, nil
}

// Recent is the sessions that the page shows at first.
func (d patientRecord) Recent() []api.Session {
	return d.Sessions[:min(len(d.Sessions), sessionsShown)]
}

// Older is the sessions that unfold.
func (d patientRecord) Older() []api.Session { return d.Sessions[min(len(d.Sessions), sessionsShown):] }

// Unbilled counts the sessions that could go on an invoice.
func (d patientRecord) Unbilled() (n int) {
	for _, s := range d.Sessions {
		if billable(s) {
			n++
		}
	}
	return n
}

func fullName(v api.Patient) string {
	name := v.FamilyName
	if v.GivenName != "" {
		name += ", " + v.GivenName
	}
	if v.Title != "" {
		name += ", " + v.Title
	}
	return name
}

// patientForm is the form of a patient's master data. Theirs is set after somebody else saved first.
type patientForm struct {
	P       api.Patient
	Theirs  *api.Patient
	Differs []difference
}

type difference struct{ Label, Mine, Theirs string }

func newPatient(p *page) error {
	if err := p.who.Require(authz.Patients, authz.Add); err != nil {
		return err
	}
	return p.show(screen{name: "patientform", title: "patient.new", section: "patients", data: patientForm{P: api.Patient{Status: "active", Language: p.opts.Language}}})
}

func createPatient(p *page) error {
	v := p.patientOf(api.Patient{})
	out, err := p.svc.Records.Create(p.ctx, p.who, v)
	if errs, ok := invalid(err); ok {
		return p.show(screen{name: "patientform", title: "patient.new", section: "patients", errors: errs, status: http.StatusUnprocessableEntity, data: patientForm{P: v}})
	}
	if err != nil {
		return err
	}
	return p.see("/patients/"+out.ID.String(), "patient")
}

func editPatient(p *page) error {
	id, err := p.id()
	if err == nil {
		err = p.who.Require(authz.Patients, authz.Edit)
	}
	if err != nil {
		return err
	}
	v, err := p.svc.Records.Get(p.ctx, p.who, id)
	if err != nil {
		return err
	}
	return p.show(screen{name: "patientform", title: fullName(v), section: "patients", data: patientForm{P: v}})
}

func updatePatient(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	v := p.patientOf(api.Patient{ID: id, Version: p.form.version()})
	if err := p.form.err(); err != nil {
		return err
	}
	_, err = p.svc.Records.Update(p.ctx, p.who, v)
	if errs, ok := invalid(err); ok {
		return p.show(screen{name: "patientform", title: fullName(v), section: "patients", errors: errs, status: http.StatusUnprocessableEntity, data: patientForm{P: v}})
	}
	if problem.Is(err, problem.Stale) {
		return p.stalePatient(v)
	}
	if err != nil {
		return err
	}
	return p.see("/patients/"+id.String(), "patient")
}

// stalePatient shows both versions: what the caller typed stays in the form, saving again is then a decision.
func (p *page) stalePatient(mine api.Patient) error {
	theirs, err := p.svc.Records.Get(p.ctx, p.who, mine.ID)
	if err != nil {
		return err
	}
	d := patientForm{P: mine, Theirs: &theirs, Differs: p.lang.differences(mine, theirs)}
	d.P.Version = theirs.Version
	return p.show(screen{name: "patientform", title: fullName(mine), section: "patients", alert: "patient.stale", status: problem.Stale.Status(), data: d})
}

func (p *page) patientOf(v api.Patient) api.Patient {
	f := p.form
	v.FamilyName, v.GivenName, v.Title, v.Sex, v.BirthDate = f.text("family_name"), f.text("given_name"), f.text("title"), f.text("sex"), api.Date(f.text("birth_date"))
	v.Street, v.PostalCode, v.City, v.Country = f.text("street"), f.text("postal_code"), f.text("city"), f.text("country")
	v.Phone, v.Mobile, v.Email = f.text("phone"), f.text("mobile"), f.text("email")
	v.Insurer, v.InsuranceNo, v.InsuranceKind, v.Referrer = f.text("insurer"), f.text("insurance_no"), f.text("insurance_kind"), f.text("referrer")
	v.Language, v.Remark, v.Status = f.text("language"), f.text("remark"), f.text("status")
	return v
}

func (l *language) differences(mine, theirs api.Patient) []difference {
	var out []difference
	add := func(name, m, t string) {
		if m != t {
			out = append(out, difference{l.t("patient." + name), m, t})
		}
	}
	add("family_name", mine.FamilyName, theirs.FamilyName)
	add("given_name", mine.GivenName, theirs.GivenName)
	add("title", mine.Title, theirs.Title)
	add("sex", l.say("sex", mine.Sex), l.say("sex", theirs.Sex))
	add("birth_date", string(mine.BirthDate), string(theirs.BirthDate))
	add("street", mine.Street, theirs.Street)
	add("postal_code", mine.PostalCode, theirs.PostalCode)
	add("city", mine.City, theirs.City)
	add("country", mine.Country, theirs.Country)
	add("phone", mine.Phone, theirs.Phone)
	add("mobile", mine.Mobile, theirs.Mobile)
	add("email", mine.Email, theirs.Email)
	add("insurer", mine.Insurer, theirs.Insurer)
	add("insurance_no", mine.InsuranceNo, theirs.InsuranceNo)
	add("insurance_kind", l.say("insurance", mine.InsuranceKind), l.say("insurance", theirs.InsuranceKind))
	add("referrer", mine.Referrer, theirs.Referrer)
	add("language", mine.Language, theirs.Language)
	add("remark", mine.Remark, theirs.Remark)
	add("status", l.say("patient_status", mine.Status), l.say("patient_status", theirs.Status))
	return out
}
