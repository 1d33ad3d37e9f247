package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"practicectl/internal/api"
	"practicectl/server/authz"
	"practicectl/server/charting"
	"practicectl/server/problem"
	"practicectl/server/store"
)

// chart is a session's page: what happened when, and the note for those who may read it.
type chart struct {
	S                         api.Session
	P                         *api.Patient
	Day, Time, Minutes, Price string
	Names                     names
	Note                      *api.Note // nil when the caller sees no notes
	Body                      string    // in the editor
	Theirs                    string    // what somebody else saved meanwhile
	Base                      string    // version that the editor's text stands upon
	Op                        uuid.UUID
	Previous                  *api.Session // the patient's session before this one
	PreviousNote              *api.Note
}

func showSession(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	return p.chart(id, screen{}, nil)
}

// chart shows a session. typed, when not nil, is a text that could not be saved and stays in the editor.
func (p *page) chart(id uuid.UUID, s screen, typed *string) error {
	d := chart{Op: store.NewID()}
	var err error
	if d.S, err = p.svc.Charting.Get(p.ctx, p.who, id); err != nil {
		return err
	}
	if d.Names, err = p.names(); err != nil {
		return err
	}
	start := d.S.HeldAt.In(p.zone)
	d.Day, d.Time, d.Minutes, d.Price = start.Format(time.DateOnly), start.Format("15:04"), strconv.Itoa(d.S.DurationMin), p.lang.amount(d.S.PriceMinor)
	if v, err := p.svc.Records.Get(p.ctx, p.who, d.S.PatientID); err == nil {
		d.P = &v
	}
	if p.who.Can(authz.Notes, authz.View) {
		if err := p.fillNote(&d, typed); err != nil {
			return err
		}
	}
	s.name, s.section, s.data = "session", "sessions", d
	if s.title = d.S.PatientName; s.title == "" {
		s.title = "session.one"
	}
	return p.show(s)
}

func (p *page) fillNote(d *chart, typed *string) error {
	n, err := p.svc.Charting.Note(p.ctx, p.who, d.S.ID)
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.Forbidden) {
		return nil // the session is visible, its note is not
	}
	if err != nil {
		return err
	}
	d.Note, d.Body = &n, n.Body
	if n.Head != nil {
		d.Base = n.Head.String()
	}
	if typed != nil && *typed != n.Body {
		d.Body, d.Theirs = *typed, n.Body
	}
	if n.Status == "signed" {
		return nil
	}
	before, err := p.svc.Charting.List(p.ctx, p.who, charting.Query{Patient: &d.S.PatientID, To: d.S.HeldAt, Limit: 1})
	if err != nil || len(before) == 0 {
		return err
	}
	last, err := p.svc.Charting.Note(p.ctx, p.who, before[0].ID)
	if err != nil {
		return err
	}
	if last.Body != "" {
		d.Previous, d.PreviousNote = &before[0], &last
	}
	return nil
}

// writeNote saves the text, and signs it when that button was pressed.
func writeNote(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	f := p.form
	body := strings.ReplaceAll(f.Get("body"), "\r\n", "\n")
	save := api.NoteSave{Base: f.id("base"), Body: body}
	if op := f.id("op"); op != nil {
		save.Op = *op
	} else {
		save.Op = store.NewID()
	}
	if err := f.err(); err != nil {
		return err
	}
	n, err := p.saveIfChanged(id, save)
	done := "note"
	if err == nil && f.Get("do") == "sign" {
		if n.Head == nil {
			return p.chart(id, screen{alert: "note.empty", status: http.StatusUnprocessableEntity}, nil)
		}
		_, err = p.svc.Charting.SignNote(p.ctx, p.who, id, *n.Head)
		done = "signed"
	}
	if errs, ok := invalid(err); ok {
		return p.chart(id, screen{errors: errs, status: http.StatusUnprocessableEntity}, &body)
	}
	switch {
	case problem.Is(err, problem.Stale):
		return p.chart(id, screen{alert: "note.stale", status: problem.Stale.Status()}, &body)
	case problem.Is(err, problem.Locked):
		return p.chart(id, screen{alert: "note.locked", status: problem.Locked.Status()}, &body)
	case err != nil:
		return err
	}
	return p.see("/sessions/"+id.String(), done)
}

// saveIfChanged appends a version unless the text is the newest one's: signing needs no copy of it.
func (p *page) saveIfChanged(id uuid.UUID, save api.NoteSave) (api.Note, error) {
	n, err := p.svc.Charting.Note(p.ctx, p.who, id)
	if err != nil {
		return n, err
	}
	if n.Status == "signed" {
		return n, problem.New(problem.Locked, nil)
	}
	sameBase := n.Head == nil && save.Base == nil || n.Head != nil && save.Base != nil && *n.Head == *save.Base
	if sameBase && n.Body == save.Body {
		return n, nil
	}
	return p.svc.Charting.SaveNote(p.ctx, p.who, id, save)
}

// rescue shows the text that somebody was writing when their session ended, in the editor of the note it belongs to.
func (p *page) rescue(to, draft string) error {
	id, err := uuid.Parse(strings.TrimPrefix(to, "/sessions/"))
	if err != nil {
		return p.see(to, "")
	}
	return p.chart(id, screen{alert: "note.rescued"}, &draft)
}

// history is all versions of a note, newest first.
type history struct {
	S        api.Session
	Versions []api.NoteVersion
	Names    names
	Note     api.Note
}

func noteHistory(p *page) error {
	id, err := p.id()
	if err != nil {
		return err
	}
	var d history
	if d.S, err = p.svc.Charting.Get(p.ctx, p.who, id); err != nil {
		return err
	}
	if d.Note, err = p.svc.Charting.Note(p.ctx, p.who, id); err != nil {
		return err
	}
	versions, err := p.svc.Charting.History(p.ctx, p.who, id)
	if err != nil {
		return err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		d.Versions = append(d.Versions, versions[i])
	}
	if d.Names, err = p.names(); err != nil {
		return err
	}
	return p.show(screen{name: "history", title: "history.title", section: "sessions", data: d})
}
