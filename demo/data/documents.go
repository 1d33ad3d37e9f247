package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"time"
)

// documents puts letters and scanned forms into the records.
func (p *Practice) documents(s *source, n int) {
	for i := range n {
		patient := s.IntN(len(p.Patients))
		created := p.Patients[patient].Created.Add(time.Duration(1+s.IntN(30*24)) * time.Hour)
		d := Document{ID: s.id(created), Patient: patient, Created: created}
		if i%3 == 0 {
			d.Name, d.Category, d.MIMEType, d.Content = fmt.Sprintf("Überweisung %s.txt", created.Format("2006-01-02")), "Überweisung", "text/plain; charset=utf-8", p.letter(s, patient, created)
		} else {
			d.Name, d.Category, d.MIMEType, d.Content = fmt.Sprintf("Anamnesebogen %s.jpg", created.Format("2006-01-02")), "Anamnese", "image/jpeg", s.scan()
		}
		p.Documents = append(p.Documents, d)
	}
}

func (p *Practice) letter(s *source, patient int, at time.Time) []byte {
	who := p.Patients[patient]
	d := disciplines[p.Staff[who.Owner].Discipline]
	c := d.complaints[who.complaint]
	doctor := "Dr. " + pick(s, givenNames["f"]) + " " + pick(s, familyNames)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nÄrztin für Allgemeinmedizin\n%s %d, %s %s\n\n%s\n\n", doctor, pick(s, streets), 1+s.IntN(60), who.PostalCode, who.City, at.Format("02.01.2006"))
	fmt.Fprintf(&b, "An das %s\n\nÜberweisung zu: %s\n", p.Name, d.name)
	fmt.Fprintf(&b, "Patient: %s %s, geboren am %s\nDiagnose: %s\n\n", who.GivenName, who.FamilyName, who.Born.Format("02.01.2006"), c.reason)
	b.WriteString("Sehr geehrtes Team,\n\nich bitte um Befundung und Behandlung. Bisheriger Verlauf:\n")
	for _, f := range c.findings {
		b.WriteString("- " + s.fill(f) + "\n")
	}
	fmt.Fprintf(&b, "\nMit kollegialen Grüßen\n%s\n", doctor)
	return b.Bytes()
}

// scan draws a page of a form as a scanner would see it: lines, handwriting and grain.
func (s *source) scan() []byte {
	const width, height = 420, 594
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 236 + byte(s.IntN(16))
	}
	for y := 60; y < height-40; y += 26 {
		for x := 40; x < width-40; x++ {
			img.SetGray(x, y, color.Gray{Y: 150 + byte(s.IntN(20))})
		}
		x, wave := 46, 0
		for end := 46 + s.IntN(width-100); x < end; x++ {
			wave = max(-7, min(7, wave+s.IntN(5)-2))
			img.SetGray(x, y-8+wave, color.Gray{Y: 40 + byte(s.IntN(30))})
			img.SetGray(x, y-7+wave, color.Gray{Y: 60 + byte(s.IntN(30))})
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}) // a buffer takes every byte
	return b.Bytes()
}
