// Package data invents a practice: people, appointments, sessions with notes, invoices and documents, the same ones for
// the same seed and day. It knows nothing of databases.
package data

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// Size says how much to invent.
type Size struct {
	Patients  int
	Sessions  int // past ones, each with a note
	Documents int
}

// Full is a group practice after some years: the size of the demo.
var Full = Size{Patients: 2200, Sessions: 41000, Documents: 320}

// Small is for tests.
var Small = Size{Patients: 60, Sessions: 600, Documents: 12}

// Practice is everything of one practice. Slices are in the order of their creation, so that a row only refers to rows
// before it.
type Practice struct {
	Name         string
	Day          time.Time // the invented practice's today, local midnight
	Facilities   []Facility
	Rooms        []Room
	Staff        []Person
	Patients     []Patient
	Appointments []Appointment
	Sessions     []Session
	Invoices     []Invoice
	Documents    []Document
}

// Facility is a place of the practice.
type Facility struct {
	ID   uuid.UUID
	Name string
}

// Room belongs to a facility.
type Room struct {
	ID       uuid.UUID
	Facility int // index into Facilities
	Name     string
}

// Person is somebody who works in the practice.
type Person struct {
	ID          uuid.UUID
	Login, Name string
	Role        string // "group_admin", "member" or "secretariat"
	Discipline  int    // index into disciplines; members only
	Room        int    // index into Rooms; members only
}

// Patient is somebody who is treated.
type Patient struct {
	ID              uuid.UUID
	Owner           int // index into Staff: who treats them
	GivenName       string
	FamilyName      string
	Born            time.Time
	Sex             string // "f" or "m"
	Street          string
	PostalCode      string
	City            string
	Phone           string
	Email           string
	Insurer         string
	InsuranceNumber string
	Created         time.Time
	complaint       int // index into the complaints of the owner's discipline
}

// Appointment is a coming or past booking.
type Appointment struct {
	ID      uuid.UUID
	Patient int
	Begin   time.Time
	End     time.Time
	Status  string // "booked", "done", "cancelled" or "noshow"
	Service string
}

// Session is one treatment that took place, with its note.
type Session struct {
	ID          uuid.UUID
	Patient     int
	Appointment int // index into Appointments, or -1
	Begin       time.Time
	Minutes     int
	PriceCents  int64
	Service     string
	Note        string
	Signed      bool
}

// Invoice is what was charged for some sessions of one patient.
type Invoice struct {
	ID      uuid.UUID
	Patient int
	Charges []Charge
	Issued  time.Time
	Payment uuid.UUID // of the payment; zero while the invoice is open
	Paid    time.Time
	Cents   int64
}

// Charge is one line of an invoice.
type Charge struct {
	ID      uuid.UUID
	Session int // index into Sessions
}

// Document is a file in a patient's record.
type Document struct {
	ID       uuid.UUID
	Patient  int
	Name     string
	Category string
	MIMEType string
	Created  time.Time
	Content  []byte
}

// source is the one stream of chance of a practice.
type source struct {
	*rand.Rand
	bytes *rand.ChaCha8
}

func newSource(seed uint64) *source {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	c := rand.NewChaCha8(key)
	return &source{Rand: rand.New(c), bytes: c}
}

// id returns a UUIDv7 of the given time whose random part comes from the stream.
func (s *source) id(t time.Time) uuid.UUID {
	var u uuid.UUID
	_, _ = s.bytes.Read(u[:]) // never fails
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u
}

func pick[T any](s *source, from []T) T { return from[s.IntN(len(from))] }

// chance is true in percent of the cases.
func (s *source) chance(percent int) bool { return s.IntN(100) < percent }
