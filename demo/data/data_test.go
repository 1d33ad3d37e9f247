package data

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 3, 2, 13, 0, 0, 0, time.UTC)

func TestTheSameSeedInventsTheSamePractice(t *testing.T) {
	a, b := Generate(1, Small, day), Generate(1, Small, day)
	if !reflect.DeepEqual(a, b) {
		t.Error("two runs differ")
	}
	if reflect.DeepEqual(a.Patients, Generate(2, Small, day).Patients) {
		t.Error("another seed invents the same patients")
	}
}

func TestThePracticeIsPlausible(t *testing.T) {
	p := Generate(1, Small, day)
	if len(p.Patients) != Small.Patients || len(p.Sessions) != Small.Sessions || len(p.Documents) != Small.Documents {
		t.Fatalf("sizes: %d patients, %d sessions, %d documents", len(p.Patients), len(p.Sessions), len(p.Documents))
	}
	ids := map[any]bool{}
	busy := map[string]bool{}
	for _, a := range p.Appointments {
		if ids[a.ID] {
			t.Fatalf("appointment id %s twice", a.ID)
		}
		ids[a.ID] = true
		if a.Status == "cancelled" || a.Status == "noshow" {
			continue
		}
		key := p.Staff[p.Patients[a.Patient].Owner].Login + a.Begin.String()
		if busy[key] {
			t.Fatalf("booked twice: %s", key)
		}
		busy[key] = true
	}
	notes := map[string]bool{}
	for i, s := range p.Sessions {
		if s.Begin.Before(p.Patients[s.Patient].Created) || !s.Begin.Before(p.Day) {
			t.Errorf("session %d at %s, patient since %s", i, s.Begin, p.Patients[s.Patient].Created)
		}
		if strings.ContainsAny(s.Note, "{}") || len(s.Note) < 60 {
			t.Errorf("note %q", s.Note)
		}
		notes[s.Note] = true
	}
	if len(notes) < len(p.Sessions)*95/100 {
		t.Errorf("only %d different notes in %d sessions", len(notes), len(p.Sessions))
	}
	for _, inv := range p.Invoices {
		var sum int64
		for _, c := range inv.Charges {
			n := c.Session
			if p.Sessions[n].Patient != inv.Patient {
				t.Fatal("invoice charges somebody else's session")
			}
			sum += p.Sessions[n].PriceCents
		}
		if sum != inv.Cents {
			t.Errorf("invoice of %d cents for %d", inv.Cents, sum)
		}
	}
	if len(p.Invoices) == 0 {
		t.Error("no invoices")
	}
}
