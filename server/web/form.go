package web

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"practicectl/server/gate"
	"practicectl/server/problem"
)

// form reads the values of a form or of a query; mistakes are gathered by field.
type form struct {
	url.Values
	bad map[string]string
}

func (p *page) readForm() error {
	p.r.Body = http.MaxBytesReader(p.w, p.r.Body, 2*gate.MaxBody) // URL encoding makes texts longer
	err := p.r.ParseForm()
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return problem.New(problem.TooLarge, nil)
	case err != nil:
		return problem.Field("body", "invalid")
	}
	p.form = newForm(p.r.PostForm)
	return nil
}

func newForm(v url.Values) form {
	for _, values := range v {
		for i := range values {
			values[i] = strings.ToValidUTF8(strings.ReplaceAll(values[i], "\x00", ""), "")
		}
	}
	return form{v, map[string]string{}}
}

func (p *page) query() form { return newForm(p.r.URL.Query()) }

func (f form) text(name string) string { return strings.TrimSpace(f.Get(name)) }

func (f form) mark(name, what string) {
	if f.bad[name] == "" {
		f.bad[name] = what
	}
}

func (f form) err() error {
	if len(f.bad) == 0 {
		return nil
	}
	return &problem.Error{Code: problem.Invalid, Fields: f.bad}
}

// id reads an optional id; nil when the field is empty.
func (f form) id(name string) *uuid.UUID {
	s := f.text(name)
	if s == "" {
		return nil
	}
	id, err := uuid.Parse(s)
	if err != nil {
		f.mark(name, "invalid")
		return nil
	}
	return &id
}

func (f form) number(name string) int {
	s := f.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<30 {
		f.mark(name, "invalid")
	}
	return n
}

// version is the version of a record that a form was filled from.
func (f form) version() int64 {
	n, err := strconv.ParseInt(f.text("version"), 10, 64)
	if err != nil || n <= 0 {
		f.mark("version", "required")
	}
	return n
}

// moment joins a date and a time of day as the practice's clock shows them.
func (f form) moment(day, clock string, zone *time.Location) time.Time {
	if f.text(day) == "" {
		f.mark(day, "required")
	}
	if f.text(clock) == "" {
		f.mark(clock, "required")
	}
	if len(f.bad) > 0 {
		return time.Time{}
	}
	d, err := time.Parse(time.DateOnly, f.text(day))
	if err != nil || d.Year() < 1900 || d.Year() > 2200 {
		f.mark(day, "invalid")
	}
	c, err := time.Parse("15:04", firstChars(f.text(clock), 5))
	if err != nil {
		f.mark(clock, "invalid")
	}
	return time.Date(d.Year(), d.Month(), d.Day(), c.Hour(), c.Minute(), 0, 0, zone)
}

func firstChars(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// money reads an amount as people write it, "1.234,50" or "1,234.50" or "1234", in minor units.
func (f form) money(name string) int64 {
	s := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == ',' || r == '.' {
			return r
		}
		if r == ' ' || r == '\u00a0' || r == '\u202f' || r == '€' {
			return -1
		}
		return '?'
	}, f.text(name))
	if s == "" {
		f.mark(name, "required")
		return 0
	}
	if i := strings.LastIndexAny(s, ",."); i >= 0 && len(s)-i <= 3 { // the last mark with one or two digits is the decimal one
		s = strings.NewReplacer(",", "", ".", "").Replace(s[:i]) + "." + s[i+1:]
	} else {
		s = strings.NewReplacer(",", "", ".", "").Replace(s)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || v > 1e9 {
		f.mark(name, "invalid")
		return 0
	}
	return int64(math.Round(v * 100))
}
