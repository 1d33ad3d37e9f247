package data

import (
	"fmt"
	"strings"
)

var givenNames = map[string][]string{
	"f": {"Maria", "Anna", "Elisabeth", "Katharina", "Sophie", "Lena", "Laura", "Julia", "Sarah", "Lisa", "Johanna", "Theresa", "Magdalena", "Emma", "Mia",
		"Hannah", "Leonie", "Valentina", "Paula", "Marlene", "Ingrid", "Christine", "Gertrude", "Helga", "Renate", "Monika", "Brigitte", "Margarete", "Eva",
		"Martina", "Sabine", "Claudia", "Petra", "Karin", "Andrea", "Birgit", "Silvia", "Doris", "Ayşe", "Zeynep", "Elif", "Jelena", "Milica", "Ivana",
		"Marija", "Agnieszka", "Ilona", "Noémi", "Chiara", "Fatima", "Yuki", "Ngoc", "Olena", "Daryna"},
	"m": {"Johann", "Franz", "Josef", "Karl", "Michael", "Thomas", "Andreas", "Stefan", "Martin", "Peter", "Christian", "Markus", "Wolfgang", "Gerhard",
		"Lukas", "Maximilian", "Jakob", "David", "Tobias", "Paul", "Elias", "Felix", "Leon", "Noah", "Jonas", "Alexander", "Sebastian", "Florian", "Philipp",
		"Matthias", "Bernhard", "Helmut", "Herbert", "Manfred", "Günther", "Rudolf", "Walter", "Mehmet", "Mustafa", "Emre", "Nikola", "Marko", "Dragan",
		"Luka", "Piotr", "László", "Ahmed", "Omar", "Minh", "Taras", "Oleksandr"},
}

var familyNames = []string{"Gruber", "Huber", "Bauer", "Wagner", "Müller", "Pichler", "Steiner", "Moser", "Mayer", "Hofer", "Leitner", "Berger", "Fuchs", "Eder",
	"Fischer", "Schmid", "Winkler", "Weber", "Schwarz", "Maier", "Schneider", "Reiter", "Mayr", "Schmidt", "Wimmer", "Egger", "Brunner", "Lang", "Baumgartner",
	"Auer", "Binder", "Lechner", "Wolf", "Wallner", "Aigner", "Ebner", "Koller", "Lehner", "Haas", "Schuster", "Heilig", "Strobl", "Thaler", "Zauner", "Kogler",
	"Riegler", "Ortner", "Kainz", "Höller", "Zöchling", "Grünwald", "Öllinger", "Yılmaz", "Demir", "Şahin", "Öztürk", "Petrović", "Jovanović", "Nikolić", "Horvat",
	"Kovačević", "Novák", "Svoboda", "Kowalski", "Nowak", "Nagy", "Szabó", "Tóth", "Rossi", "Nguyen", "Shevchenko", "Bondarenko", "Haddad", "Rahimi", "Okafor",
	"von der Tann", "Zu Hohenegg", "O'Brien"}

var streets = []string{"Lindengasse", "Hauptstraße", "Bahnhofstraße", "Mühlgasse", "Kirchenplatz", "Schulgasse", "Ringstraße", "Am Anger", "Feldweg", "Wiener Straße",
	"Grazer Straße", "Bachzeile", "Rosenweg", "Kaiserallee", "Schießstattgasse", "Dr.-Karl-Renner-Straße", "Obere Hauptstraße", "Weinbergweg", "Sonnenhang", "Brückenstraße"}

type place struct{ code, name string }

var places = []place{{"3100", "St. Pölten"}, {"3500", "Krems an der Donau"}, {"3910", "Zwettl"}, {"3580", "Horn"}, {"3430", "Tulln an der Donau"}, {"3390", "Melk"},
	{"3370", "Ybbs an der Donau"}, {"3300", "Amstetten"}, {"3180", "Lilienfeld"}, {"3040", "Neulengbach"}, {"2700", "Wiener Neustadt"}, {"3130", "Herzogenburg"}}

var insurers = []string{"ÖGK Niederösterreich", "ÖGK Niederösterreich", "ÖGK Wien", "SVS", "BVAEB", "KFA Wien", "privat"}

var transcription = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "ş", "s", "ı", "i", "ć", "c", "č", "c", "á", "a", "ó", "o", "é", "e", "'", "", " ", "")

// mailbox writes an address in a domain that nobody can own (RFC 2606).
func mailbox(given, family string, n int) string {
	part := func(s string) string {
		var b strings.Builder
		for _, r := range transcription.Replace(strings.ToLower(s)) {
			if r < 128 {
				b.WriteRune(r)
			}
		}
		return b.String()
	}
	return fmt.Sprintf("%s.%s%d@post.example", part(given), part(family), n)
}
