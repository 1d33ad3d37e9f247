package documents

import (
	"strings"
	"testing"
)

func TestNothingThatRunsIsServedAsWhatItIs(t *testing.T) {
	for said, want := range map[string]string{
		"application/pdf": "application/pdf", "Image/PNG": "image/png", "text/plain; charset=utf-8": "text/plain",
		"application/vnd.oasis.opendocument.text": "application/vnd.oasis.opendocument.text",
		"text/html": "", "text/javascript": "", "application/javascript": "", "text/css": "", "image/svg+xml": "", "application/xhtml+xml": "", "text/xml": "",
		"application/vnd.x+xml": "", "multipart/x-mixed-replace": "", "application/x-shockwave-flash": "", "": "", "junk": "",
	} {
		if want == "" {
			want = "application/octet-stream"
		}
		if got := ServedAs(said); got != want {
			t.Errorf("%q is served as %q", said, got)
		}
	}
}

func TestNamesOfFilesMeanWhatTheyShow(t *testing.T) {
	n := NewDocument{Name: "..\\Befund\u202efdp.\u0085exe\r\n"}
	if err := check(&n); err != nil || n.Name != "Befundfdp.exe" {
		t.Errorf("%q, %v", n.Name, err)
	}
	for _, bad := range []string{"", " ", "..", "a/", "\u202e", strings.Repeat("a", 256)} {
		if n := (NewDocument{Name: bad}); check(&n) == nil {
			t.Errorf("%q is taken as %q", bad, n.Name)
		}
	}
}
