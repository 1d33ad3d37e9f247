package notify

import (
	"fmt"
	"strings"
	"time"
)

// Place says whose jobs these are, for the text of a mail.
type Place struct {
	Practice string
	Host     string // name of the machine
	Instance string
	Language string // "de", else English
	Location *time.Location
	Logs     string // folder of the logs
}

// words are the texts of a language. Nothing in them comes from a record of the practice.
type words struct {
	failed, recovered, test, ended                      string
	since, times, exit, log, look, hint, automatic, all string
	jobs, kinds                                         map[string]string
}

var languages = map[string]words{
	"en": {
		failed: "%s: %s failed", recovered: "%s: works again: %s", test: "%s: test message", ended: "The run %s on %s failed on %s.",
		since: "It has failed since %s, %d times.", times: "2 Jan 2006 15:04 MST", exit: "Exit code %d: %s.", log: "The log: %s", look: "What it said: %s", hint: "What to do: %s",
		automatic: "This is an automatic message of practicectl on %s (instance %s). Next, type there: practicectl status", all: "Works again since %s: %s.",
		jobs: map[string]string{"backup": "the backup", "verify": "the check of the backups", "update": "the update", "mirror": "the mirror", "prune": "the clearing of old backups",
			"drill": "the restore drill", "heal": "the comparison of the stores", "test": "a test"},
		kinds: map[string]string{
			"incomplete": "not everything could be done", "not-found": "there is no backup repository, or the product is not installed", "auth": "a key or a password was refused",
			"integrity": "something was changed or is damaged; do not delete anything", "precondition": "something that the job needs is not there", "unreachable": "the store or server cannot be reached",
			"no-space": "a disk or the store is full", "fenced": "another copy of the practice writes to the same repository", "loss-guard": "it would have lost data", "overdue": "the last success is too long ago",
			"corrupt-page": "pages of the database are damaged; the snapshot is stored", "wal-gap": "log of the database is missing", "weak-lock": "the store does not lock the backups as it should",
			"config": "the configuration is wrong", "": "it failed"},
	},
	"de": {
		failed: "%s: %s fehlgeschlagen", recovered: "%s: funktioniert wieder: %s", test: "%s: Testnachricht", ended: "Der Lauf %s auf %s ist am %s fehlgeschlagen.",
		since: "Das geschieht seit %s, bisher %d-mal.", times: "02.01.2006 15:04 MST", exit: "Exitcode %d: %s.", log: "Das Protokoll: %s", look: "Die Meldung: %s", hint: "Was zu tun ist: %s",
		automatic: "Dies ist eine automatische Nachricht von practicectl auf %s (Instanz %s). Als Nächstes dort eingeben: practicectl status", all: "Funktioniert wieder seit %s: %s.",
		jobs: map[string]string{"backup": "die Sicherung", "verify": "die Prüfung der Sicherungen", "update": "die Aktualisierung", "mirror": "der Spiegel", "prune": "das Aufräumen alter Sicherungen",
			"drill": "die Wiederherstellungsübung", "heal": "der Vergleich der Speicher", "test": "ein Test"},
		kinds: map[string]string{
			"incomplete": "nicht alles konnte erledigt werden", "not-found": "es gibt kein Sicherungs-Repository, oder das Produkt ist nicht installiert", "auth": "ein Schlüssel oder Passwort wurde abgelehnt",
			"integrity": "etwas wurde verändert oder ist beschädigt; bitte nichts löschen", "precondition": "etwas, das der Auftrag braucht, fehlt", "unreachable": "der Speicher oder Server ist nicht erreichbar",
			"no-space": "eine Platte oder der Speicher ist voll", "fenced": "eine andere Kopie der Praxis schreibt in dasselbe Repository", "loss-guard": "es wären Daten verloren gegangen", "overdue": "der letzte Erfolg ist zu lange her",
			"corrupt-page": "Seiten der Datenbank sind beschädigt; die Sicherung ist gespeichert", "wal-gap": "Protokoll der Datenbank fehlt", "weak-lock": "der Speicher sperrt die Sicherungen nicht so, wie er sollte",
			"config": "eine Einstellung ist falsch", "": "er ist fehlgeschlagen"},
	},
}

func (p Place) words() words {
	if w, ok := languages[p.Language]; ok {
		return w
	}
	return languages["en"]
}

func (w words) job(name string) string {
	if text, ok := w.jobs[name]; ok {
		return text
	}
	return name
}

// Write makes the mail of a digest.
func (p Place) Write(d *Digest) Mail {
	w := p.words()
	var names []string
	var b strings.Builder
	for _, f := range d.Failing {
		names = append(names, w.job(f.Last.Job))
		p.failing(&b, w, f)
	}
	var again []string
	for _, e := range d.Recovered {
		again = append(again, w.job(e.Job))
		fmt.Fprintf(&b, w.all+"\n", e.At.In(p.Location).Format(w.times), w.job(e.Job))
	}
	subject := fmt.Sprintf(w.failed, p.Practice, strings.Join(names, ", "))
	if len(names) == 0 {
		subject = fmt.Sprintf(w.recovered, p.Practice, strings.Join(again, ", "))
	}
	fmt.Fprintf(&b, "\n"+w.automatic+"\n", p.Host, p.Instance)
	return Mail{Subject: subject, Text: b.String()}
}

func (p Place) failing(b *strings.Builder, w words, f Failing) {
	e := f.Last
	kind, ok := w.kinds[e.Kind]
	if !ok {
		kind = w.kinds[""]
	}
	fmt.Fprintf(b, w.ended+"\n", e.Run, p.Host, e.At.In(p.Location).Format(w.times))
	if f.Count > 1 {
		fmt.Fprintf(b, w.since+"\n", f.Since.In(p.Location).Format(w.times), f.Count)
	}
	fmt.Fprintf(b, w.exit+"\n", e.Exit, kind)
	if e.Error != "" {
		fmt.Fprintf(b, w.look+"\n", e.Error)
	}
	if e.Hint != "" {
		fmt.Fprintf(b, w.hint+"\n", e.Hint)
	}
	fmt.Fprintf(b, w.log+"\n\n", p.Logs+"/"+e.Run+".log")
}

// Test is the mail of `notify check`.
func (p Place) Test() Mail {
	w := p.words()
	return Mail{Subject: fmt.Sprintf(w.test, p.Practice), Text: fmt.Sprintf(w.automatic+"\n", p.Host, p.Instance)}
}
