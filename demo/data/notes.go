package data

import (
	"strconv"
	"strings"
)

// note writes what happened in the n-th session of a patient.
func (s *source) note(d discipline, c complaint, n int) string {
	var b strings.Builder
	if n == 1 {
		b.WriteString("Erstgespräch. Zuweisungsgrund: " + c.reason + ". ")
	} else {
		b.WriteString(strconv.Itoa(n) + ". Einheit. ")
	}
	first := s.IntN(len(c.findings))
	b.WriteString(s.fill(c.findings[first]))
	if s.chance(60) {
		b.WriteString(" " + s.fill(c.findings[(first+1+s.IntN(len(c.findings)-1))%len(c.findings)]))
	}
	measure := s.IntN(len(d.measures))
	b.WriteString("\nMaßnahmen: " + s.fill(d.measures[measure]))
	if s.chance(75) {
		b.WriteString(" " + s.fill(d.measures[(measure+1+s.IntN(len(d.measures)-1))%len(d.measures)]))
	}
	b.WriteString("\n" + s.fill(pick(s, d.reactions)))
	if s.chance(80) {
		b.WriteString("\nPlan: " + s.fill(pick(s, d.plans)))
	}
	return b.String()
}

// fill puts figures into the places of a phrase.
func (s *source) fill(phrase string) string {
	for strings.Contains(phrase, "{") {
		phrase = s.fillOne(phrase, "{cm}", 6, 14)
		phrase = s.fillOne(phrase, "{grad}", 45, 80)
		phrase = s.fillOne(phrase, "{nrs}", 1, 8)
		phrase = s.fillOne(phrase, "{klein}", 2, 6)
	}
	return phrase
}

func (s *source) fillOne(phrase, placeholder string, least, width int) string {
	if !strings.Contains(phrase, placeholder) {
		return phrase
	}
	return strings.Replace(phrase, placeholder, strconv.Itoa(least+s.IntN(width)), 1)
}
