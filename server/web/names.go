package web

import (
	"github.com/google/uuid"

	"practicectl/internal/api"
)

// names turns ids of people and places into what people call them.
type names struct {
	people        map[uuid.UUID]string
	rooms         map[uuid.UUID]string
	Practitioners []api.Practitioner
	Rooms         []api.Room
}

func (p *page) names() (names, error) {
	n := names{people: map[uuid.UUID]string{}, rooms: map[uuid.UUID]string{}}
	accounts, err := p.svc.Accounts.List(p.ctx, p.who)
	if err != nil {
		return n, err
	}
	for _, a := range accounts {
		n.people[a.ID] = a.Name
	}
	if n.Practitioners, err = p.svc.Schedule.Practitioners(p.ctx, p.who); err != nil {
		return n, err
	}
	_, rooms, err := p.svc.Schedule.Places(p.ctx, p.who)
	for _, r := range rooms {
		n.rooms[r.ID] = r.Name
		if r.Active {
			n.Rooms = append(n.Rooms, r)
		}
	}
	return n, err
}

// Person is the name of an account, "" when there is none.
func (n names) Person(id any) string {
	switch id := id.(type) {
	case uuid.UUID:
		return n.people[id]
	case *uuid.UUID:
		if id != nil {
			return n.people[*id]
		}
	}
	return ""
}

// Room is the name of a room, "" when none is given.
func (n names) Room(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return n.rooms[*id]
}

func (n names) bookable(id uuid.UUID) (api.Practitioner, bool) {
	for _, p := range n.Practitioners {
		if p.ID == id {
			return p, true
		}
	}
	return api.Practitioner{}, false
}

// PeopleOptions is the choice of practitioners.
func (n names) PeopleOptions() []option {
	out := make([]option, len(n.Practitioners))
	for i, p := range n.Practitioners {
		out[i] = option{p.ID.String(), p.Name}
	}
	return out
}

// RoomOptions is the choice of rooms.
func (n names) RoomOptions(none string) []option {
	out := []option{{"", none}}
	for _, r := range n.Rooms {
		out = append(out, option{r.ID.String(), r.Name})
	}
	return out
}
