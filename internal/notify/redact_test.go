package notify

import (
	"strings"
	"testing"

	"practicectl/internal/secret"
)

func TestO3_NothingOfAPatientAndNoSecretLeaves(t *testing.T) {
	r := Redactor{Own: []string{"/srv/Praxis Süd/var", "/mnt/nas"}, Secrets: []secret.Text{secret.New("canary-key"), {}}}
	for in, want := range map[string]string{
		"read /srv/scans/Maria Muster 1980.pdf: permission denied": "read … (a file; see the log on the machine)",
		"open '/srv/scans/Muster.pdf'":                             "open … (a file; see the log on the machine)",
		"path=/srv/scans/Muster.pdf":                               "path … (a file; see the log on the machine)",
		`open C:\Scans\Muster.pdf: denied`:                         "open … (a file; see the log on the machine)",
		`open \\nas\Scans\Muster.pdf`:                              "open … (a file; see the log on the machine)",
		"write /srv/Praxis Süd/var/lib/x: full":                    "write /srv/Praxis Süd/var/lib/x: full",
		"copy /mnt/nas/p/00 and /srv/scans/Muster":                 "copy /mnt/nas/p/00 and … (a file; see the log on the machine)",
		"/mnt/nas-of-muster/x":                                     " … (a file; see the log on the machine)",
		"key canary-key refused":                                   "key [redacted] refused",
		"read srv/scans/Maria Muster.pdf: denied":                  "read … (a file; see the log on the machine)",
		"read Muster/scan.pdf":                                     "read … (a file; see the log on the machine)",
		"p/00ff and s/host/2026-1 and base/5/16384 and Muster/x":   "p/00ff and s/host/2026-1 and base/5/16384 and … (a file; see the log on the machine)",
		"the limit is 2 MiB/s, block 7 of pg/global/1262":          "the limit is 2 MiB/s, block 7 of pg/global/1262",
		`copy C:\x\Muster`:                                         "copy … (a file; see the log on the machine)",
		"3 / 4 packs, 2 MiB/s":                                     "3 / 4 packs, 2 MiB/s",
		"store s3://offsite/sued cannot be reached":                "store s3://offsite/sued cannot be reached",
	} {
		got := r.Line(in)
		if got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if strings.Contains(strings.ToLower(got), "muster") {
			t.Errorf("a name leaves: %q", got)
		}
	}
	if got := r.Text("a\nread /home/Muster\nb"); got != "a\nread … (a file; see the log on the machine)\nb" {
		t.Errorf("%q", got)
	}
}
