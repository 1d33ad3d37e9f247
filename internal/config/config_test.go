package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"practicectl/internal/uerr"
)

func TestSavedFileLoadsBackTheSame(t *testing.T) {
	want := Default()
	want.Practice.Name = "Praxis Lindenhof"
	want.Backup = Backup{Store: "s3://offsite/main", Endpoint: "https://s3.example.test", Recipients: []string{"age1a", "age1b"}, Paths: []string{},
		FullEvery: 7, Keep: Keep{Daily: 30, LeastDays: 3}, Copies: []Copy{{Name: "nas", Store: "/mnt/nas"}}}
	want.Notify.To = []string{}
	want.Update.Modules = []string{"module-clinical"}
	path := filepath.Join(t.TempDir(), "practice.toml")
	if err := Save(path, &want); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "schema = 1\n[database]\nprot = 5432\n", `line 3, column 1: unknown key "database.prot", did you mean "database.port"?`},
		{"wrong type", "[database]\nport = \"x\"\n", "line 2"},
		{"broken syntax", "[database\n", "line 1"},
		{"newer schema", "schema = 9\n", "schema: 9 is not supported"},
		{"bad listen", "[server]\nlisten = \"8443\"\n", "server.listen"},
		{"bad objective", "[drill]\nrto = \"soon\"\n", "drill.rto"},
		{"plain http", "[server]\nurl = \"http://localhost\"\n", "server.url"},
		{"one recipient", "[backup]\nstore = \"/b\"\nrecipients = [\"age1a\", \"age1a\"]\n", "backup.recipients: 1 different"},
		{"rate", "[backup]\nstore = \"/b\"\nrecipients = [\"age1a\", \"age1b\"]\nlimit = \"fast\"\n", "backup.limit"},
		{"hours", "[backup]\nstore = \"/b\"\nrecipients = [\"age1a\", \"age1b\"]\nlimit_hours = \"7-19\"\n", "backup.limit_hours"},
		{"copy without a name", "[backup]\nstore = \"/b\"\nrecipients = [\"age1a\", \"age1b\"]\n[[backup.copy]]\nstore = \"/c\"\n", "backup.copy 1.name"},
		{"copy to itself", "[backup]\nstore = \"/b\"\nrecipients = [\"age1a\", \"age1b\"]\n[[backup.copy]]\nname = \"nas\"\nstore = \"/b\"\n", "backup.copy 1.store"},
		{"copy by SFTP", "[backup]\nstore = \"/b\"\nrecipients = [\"age1a\", \"age1b\"]\n[[backup.copy]]\nname = \"nas\"\nstore = \"sftp://nas/b\"\n", "there is no SFTP"},
		{"key of a copy", "[[backup.copy]]\nnam = \"nas\"\n", `did you mean "backup.copy.name"?`},
		{"mail to nobody", "[notify]\nsmtp = \"smtps://mail.example.test:465\"\nfrom = \"a@example.test\"\n", "notify.to"},
		{"password in the URL", "[notify]\nsmtp = \"smtp://u:p@mail.example.test\"\nfrom = \"a@example.test\"\nto = [\"b@example.test\"]\n", "notify.smtp_auth"},
		{"no mail address", "[notify]\nsmtp = \"smtp://mail.example.test\"\nfrom = \"Anna\"\nto = [\"b@example.test\"]\n", "not a mail address"},
		{"relative folder", "[metrics]\ntextfile = \"prom\"\n", "metrics.textfile"},
		{"no endpoint", "[backup]\nstore = \"s3://b\"\nrecipients = [\"age1a\", \"age1b\"]\n", "backup.endpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to contain %q", err, c.want)
			}
		})
	}
}

func TestMissingFileSaysHowToInstall(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "practice.toml"))
	if uerr.KindOf(err) != uerr.NotFound || !strings.Contains(uerr.HintOf(err), "practicectl install") {
		t.Errorf("got %v, hint %q", err, uerr.HintOf(err))
	}
}
