package paper

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"rsc.io/qr"
)

// Sheet is one printed page.
type Sheet struct {
	Title   string
	Warning string      // who must not see it
	Facts   [][2]string // what it is for, when it was made; an empty value becomes a line to write on
	Text    string      // the secret: capital letters, digits, dashes
	Steps   []string    // how to use it
}

//go:embed sheet.html
var sheetHTML string

var page = template.Must(template.New("sheet").Parse(sheetHTML))

// Write writes the page as one HTML file that needs nothing else, with the code as SVG.
func (s Sheet) Write(w io.Writer) error {
	code, err := qr.Encode(s.Text, qr.M)
	if err != nil {
		return err
	}
	return page.Execute(w, struct {
		Sheet
		Lines   []string
		Squares int
		Path    template.HTMLAttr
	}{s, Lines(s.Text), code.Size + 2*quiet, template.HTMLAttr(fmt.Sprintf("d=%q", path(code)))})
}

// quiet is the white border that scanners need around a code, in squares.
const quiet = 4

// path draws the black squares, those beside each other as one.
func path(code *qr.Code) string {
	var b strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			n := 0
			for x+n < code.Size && code.Black(x+n, y) {
				n++
			}
			if n > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, n, n)
				x += n
			}
		}
	}
	return b.String()
}
