package api

import (
	"time"

	"github.com/google/uuid"
)

// Appointment is booked or blocked time of a practitioner, and perhaps of a room.
type Appointment struct {
	ID             uuid.UUID  `json:"id"`
	PatientID      *uuid.UUID `json:"patient_id"`   // nil: blocked time
	PatientName    string     `json:"patient_name"` // "" when the caller may not see the patient
	PractitionerID uuid.UUID  `json:"practitioner_id"`
	RoomID         *uuid.UUID `json:"room_id"`
	FacilityID     uuid.UUID  `json:"facility_id"`
	Start          time.Time  `json:"start"`
	End            time.Time  `json:"end"`
	Status         string     `json:"status"` // pending, booked, arrived, done, cancelled, noshow
	Kind           string     `json:"kind"`
	Remark         string     `json:"remark"`
	OwnerID        uuid.UUID  `json:"owner_id"`
	Version        int64      `json:"version"`
}

// Booking is a request for an appointment.
type Booking struct {
	PatientID      *uuid.UUID `json:"patient_id"`
	PractitionerID uuid.UUID  `json:"practitioner_id"`
	RoomID         *uuid.UUID `json:"room_id"`
	Start          time.Time  `json:"start"`
	End            time.Time  `json:"end"`
	Kind           string     `json:"kind,omitempty"`
	Remark         string     `json:"remark,omitempty"`
}

// Rebooking changes an appointment; what is left out stays.
type Rebooking struct {
	Version        int64      `json:"version"`
	PractitionerID *uuid.UUID `json:"practitioner_id,omitempty"`
	RoomID         *uuid.UUID `json:"room_id,omitempty"`
	NoRoom         bool       `json:"no_room,omitempty"`
	Start          *time.Time `json:"start,omitempty"`
	End            *time.Time `json:"end,omitempty"`
	Kind           *string    `json:"kind,omitempty"`
	Remark         *string    `json:"remark,omitempty"`
	Status         *string    `json:"status,omitempty"`
}

// Places is where treatment happens.
type Places struct {
	Facilities []Facility `json:"facilities"`
	Rooms      []Room     `json:"rooms"`
}

// Room is a place that one appointment at a time can use.
type Room struct {
	ID         uuid.UUID `json:"id"`
	FacilityID uuid.UUID `json:"facility_id"`
	Name       string    `json:"name"`
	Active     bool      `json:"active"`
}

// Facility is a site of the practice.
type Facility struct {
	ID     uuid.UUID `json:"id"`
	Name   string    `json:"name"`
	City   string    `json:"city"`
	Active bool      `json:"active"`
}

// Practitioner is somebody whose calendar can be booked.
type Practitioner struct {
	ID    uuid.UUID `json:"id"`
	Name  string    `json:"name"`
	Title string    `json:"title"`
}
