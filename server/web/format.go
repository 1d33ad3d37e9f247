package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"practicectl/internal/api"
)

// date shows a civil date or a moment: "24.12.2026", "24 Dec 2026". Both are read the same on either side of an ocean.
func (l *language) date(v any) (string, error) {
	t, err := l.moment(v)
	if err != nil || t.IsZero() {
		return "", err
	}
	if l.name == "de" {
		return t.Format("02.01.2006"), nil
	}
	return t.Format("2 Jan 2006"), nil
}

func (l *language) moment(v any) (time.Time, error) {
	switch v := v.(type) {
	case time.Time:
		return v.In(l.zone), nil
	case *time.Time:
		if v == nil {
			return time.Time{}, nil
		}
		return v.In(l.zone), nil
	case api.Date:
		if v == "" {
			return time.Time{}, nil
		}
		return time.Parse(time.DateOnly, string(v))
	}
	return time.Time{}, fmt.Errorf("%T is no date", v)
}

func (l *language) clock(t time.Time) string { return t.In(l.zone).Format("15:04") }

func (l *language) stamp(v any) (string, error) {
	t, err := l.moment(v)
	if err != nil || t.IsZero() {
		return "", err
	}
	day, err := l.date(t)
	return day + ", " + t.Format("15:04"), err
}

func (l *language) weekday(t time.Time) string {
	return l.t("day." + strconv.Itoa(int(t.In(l.zone).Weekday())))
}

func (l *language) monthYear(t time.Time) string {
	t = t.In(l.zone)
	return l.t("month."+strconv.Itoa(int(t.Month()))) + " " + strconv.Itoa(t.Year())
}

func (l *language) longDate(t time.Time) string {
	t = t.In(l.zone)
	if l.name == "de" {
		return fmt.Sprintf("%s, %d. %s", l.weekday(t), t.Day(), l.monthYear(t))
	}
	return fmt.Sprintf("%s, %d %s", l.weekday(t), t.Day(), l.monthYear(t))
}

// age is somebody's age in years.
func (l *language) age(born api.Date) (int, error) {
	b, err := l.moment(born)
	if err != nil || b.IsZero() {
		return 0, err
	}
	now := l.now().In(l.zone)
	years := now.Year() - b.Year()
	if now.Month() < b.Month() || now.Month() == b.Month() && now.Day() < b.Day() {
		years--
	}
	return years, nil
}

// symbols of the currencies that have one everybody here knows.
func symbol(currency string) string {
	switch currency {
	case "EUR":
		return "€"
	case "GBP":
		return "£"
	case "USD":
		return "$"
	}
	return currency
}

// money shows an amount of minor units: "1.234,50 €", "€1,234.50". The blanks do not break.
func (l *language) money(minor int64, currency string) string {
	sign := ""
	if minor < 0 {
		sign = "−"
		minor = -minor
	}
	s := symbol(currency)
	if l.name == "de" {
		return sign + l.grouped(minor) + "\u00a0" + s
	}
	if s == currency {
		s += "\u00a0"
	}
	return sign + s + l.grouped(minor)
}

// amount is money in a field of a form: no symbol, no grouping.
func (l *language) amount(minor int64) string {
	return fmt.Sprintf("%d%s%02d", minor/100, l.mark(), minor%100)
}

func (l *language) mark() string {
	if l.name == "de" {
		return ","
	}
	return "."
}

func (l *language) grouped(minor int64) string {
	digits := strconv.FormatInt(minor/100, 10)
	group := map[string]string{"de": ".", "en": ","}[l.name]
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(group)
		}
		b.WriteRune(d)
	}
	return fmt.Sprintf("%s%s%02d", b.String(), l.mark(), minor%100)
}

func (l *language) bytes(n int64) string {
	switch {
	case n >= 1<<20:
		return strings.Replace(strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64), ".", l.mark(), 1) + "\u00a0MB"
	case n >= 1<<10:
		return strconv.FormatInt((n+512)>>10, 10) + "\u00a0kB"
	}
	return strconv.FormatInt(n, 10) + "\u00a0B"
}
