package data

// discipline is a kind of therapy with the vocabulary of its notes. A note is put together from a finding, one or two
// measures, a reaction and a plan, all of the same complaint or discipline.
type discipline struct {
	name, service string
	minutes       int
	cents         int64
	complaints    []complaint
	measures      []string
	reactions     []string
	plans         []string
}

type complaint struct {
	reason           string
	youngest, oldest int // years
	findings         []string
}

var disciplines = []discipline{
	{
		name: "Physiotherapie", service: "Physiotherapie Einzelbehandlung", minutes: 45, cents: 8200,
		complaints: []complaint{
			{"Lumbalgie mit Ausstrahlung ins rechte Bein", 25, 80, []string{"Flexion der LWS endgradig schmerzhaft, Finger-Boden-Abstand {cm} cm.", "Lasègue rechts bei {grad}° positiv, keine motorischen Ausfälle.", "Druckschmerz paravertebral L4/L5, Tonus rechts deutlich erhöht.", "Schmerz heute NRS {nrs}, nachts kein Aufwachen mehr."}},
			{"Zustand nach Knie-TEP links", 55, 90, []string{"Flexion aktiv {grad}°, Streckdefizit {klein}°.", "Umfang suprapatellar links +{klein} cm gegenüber rechts, Narbe reizlos.", "Gangbild ohne Stützen auf ebener Strecke sicher, Treppe noch im Nachstellschritt.", "Quadrizeps Kraftgrad 4-, Aktivierung des Vastus medialis verzögert."}},
			{"Impingement der rechten Schulter", 30, 75, []string{"Abduktion bis {grad}° schmerzfrei, Painful Arc darüber.", "Neer und Hawkins positiv, Außenrotation gegen Widerstand NRS {nrs}.", "Skapula rechts in Protraktion, unterer Trapezius schwach.", "Schlafen auf der rechten Seite wieder möglich."}},
			{"Spannungskopfschmerz bei HWS-Syndrom", 18, 65, []string{"Rotation rechts {grad}°, links {grad}°, endgradig ziehend.", "Triggerpunkte im oberen Trapezius beidseits, subokzipital druckdolent.", "Kopfschmerztage in der letzten Woche: {klein}.", "Haltung am Arbeitsplatz besprochen, Bildschirm stand {cm} cm zu tief."}},
			{"Sturzneigung bei Gangunsicherheit", 68, 94, []string{"Timed Up and Go {cm} Sekunden.", "Tandemstand rechts {klein} s, links {klein} s.", "Einbeinstand nur mit Anhalten, Blickfolge unauffällig.", "Kein Sturz seit dem letzten Termin."}},
		},
		measures:  []string{"Manuelle Mobilisation der betroffenen Segmente Grad III.", "Aktivierung der tiefen Bauchmuskulatur in Rückenlage, Steigerung im Vierfüßler.", "Exzentrisches Training mit dem Theraband, drei Serien zu zwölf Wiederholungen.", "Weichteiltechnik und Triggerpunktbehandlung.", "Gangschulung auf dem Laufband bei {klein},{klein} km/h.", "Gleichgewichtstraining auf der Weichmatte mit Ball.", "Lymphdrainage der Extremität, anschließend Kompression angelegt.", "Heimprogramm wiederholt, zwei Übungen korrigiert."},
		reactions: []string{"Danach subjektiv deutlich leichter.", "Gut vertragen, keine Schmerzverstärkung.", "Muskelkater vom letzten Mal war nach einem Tag vorbei.", "Ermüdet rasch, Pausen nötig.", "Motiviert, übt nach eigenen Angaben täglich.", "Hat zu Hause nur zweimal geübt, Gründe besprochen."},
		plans:     []string{"Nächstes Mal Belastung steigern.", "Weiter wie bisher, Kontrolle der Beweglichkeit in zwei Wochen.", "Rücksprache mit der überweisenden Orthopädin wegen Bildgebung.", "Übergang in die medizinische Trainingstherapie vorbereiten.", "Abschlussbefund in {klein} Einheiten."},
	},
	{
		name: "Ergotherapie", service: "Ergotherapie Einzelbehandlung", minutes: 60, cents: 9400,
		complaints: []complaint{
			{"Umschriebene Entwicklungsstörung der Motorik", 4, 10, []string{"Dreipunktgriff wird {klein} Minuten gehalten, dann Wechsel in den Faustgriff.", "Schneidet gerade Linien sicher, Kurven mit {klein} Absätzen.", "Überkreuzt die Mittellinie noch zögerlich.", "Ausdauer am Tisch heute {cm} Minuten."}},
			{"Zustand nach Insult mit Hemiparese links", 48, 88, []string{"Aktive Handöffnung bis {klein} cm, Tonus im Handgelenk erhöht.", "Box and Block Test links {cm} Blöcke.", "Neglect: lässt {klein} von zwanzig Zeichen links aus.", "Zieht sich am Oberkörper mit verbaler Hilfe selbst an."}},
			{"Rhizarthrose beidseits", 50, 85, []string{"Schlüsselgriff rechts {klein} kg, links {klein} kg.", "Schmerz beim Öffnen von Gläsern NRS {nrs}.", "Orthese wird nachts getragen, Passform gut.", "Abduktion des Daumens um {klein}° gebessert."}},
			{"Konzentrationsschwäche im Schulalter", 6, 14, []string{"Bleibt bei der Aufgabe {cm} Minuten ohne Erinnerung.", "Fehlerzahl im Suchbild von {cm} auf {klein} gesunken.", "Wechsel zwischen zwei Regeln gelingt nach Vorzeigen.", "Lehrerin berichtet von ruhigerem Arbeiten am Vormittag."}},
		},
		measures:  []string{"Perfetti-Übungen für Hand und Finger, Augen geschlossen.", "Alltagstraining in der Küche: Brot streichen und schneiden.", "Spiegeltherapie, zwei Durchgänge.", "Marburger Konzentrationstraining, Einheit {klein}.", "Feinmotorik mit Perlen, Schrauben und Pinzette.", "Gelenkschutz besprochen, Griffverdickung ausprobiert.", "Psychomotorischer Parcours mit Schaukel und Rollbrett.", "Graphomotorik: Schwungübungen an der Tafel."},
		reactions: []string{"War aufmerksam und stolz auf das Ergebnis.", "Anfangs müde, dann gut dabei.", "Braucht noch klare Schritte, dann selbstständig.", "Frustration bei Fehlern kürzer als zuletzt.", "Angehörige waren dabei und haben die Übung übernommen."},
		plans:     []string{"Schwierigkeit um eine Stufe erhöhen.", "Elterngespräch vereinbart.", "Hilfsmittel verordnen lassen: Badebrett und Griff.", "Test in {klein} Wochen wiederholen.", "Austausch mit der Logopädie."},
	},
	{
		name: "Logopädie", service: "Logopädie Einzelbehandlung", minutes: 45, cents: 8800,
		complaints: []complaint{
			{"Phonologische Störung, Ersetzung von /k/ durch /t/", 3, 7, []string{"/k/ im Anlaut in {cm} von 20 Wörtern richtig.", "Im Satz noch {klein} Ersetzungen in fünf Minuten.", "Lautunterscheidung /k/ und /t/ sicher.", "Korrigiert sich erstmals selbst."}},
			{"Aphasie nach Insult", 50, 86, []string{"Benennen: {cm} von 20 Bildern, davon {klein} mit Anlauthilfe.", "Sprachverständnis für zweiteilige Aufforderungen sicher.", "Schreibt den eigenen Namen und die Adresse fehlerfrei.", "Wortfindungspausen im Gespräch kürzer, Umschreibungen gelingen."}},
			{"Funktionelle Dysphonie", 24, 64, []string{"Tonhaltedauer {cm} Sekunden.", "Stimme heute behaucht, Einsätze weicher als zuletzt.", "Atmung noch hoch, im Liegen gut geführt.", "Unterrichtet wieder {klein} Stunden am Tag ohne Heiserkeit."}},
			{"Stottern", 6, 40, []string{"Anteil gestotterter Silben {klein},{klein} % im freien Sprechen.", "Blockaden beim Telefonieren, Dauer bis {klein} s.", "Spricht von sich aus über das Stottern.", "Weicher Stimmeinsatz gelingt in {cm} von 20 Sätzen."}},
		},
		measures:  []string{"Minimalpaare mit Bildkarten, dann im Rollenspiel.", "Modifiziertes MODAK, Stufe {klein}.", "Resonanzübungen mit /m/ und /n/, Kutschersitz.", "Desensibilisierung: absichtliches Stottern im Laden besprochen.", "Zungenruhelage und Schluckmuster geübt.", "Kommunikationsbuch um eine Seite ergänzt.", "Vorlesen im Takt, Tempo langsam gesteigert."},
		reactions: []string{"Arbeitet konzentriert mit.", "Brauchte heute viele Pausen.", "Freut sich über das gelungene Telefonat.", "Überträgt das Gelernte schon in den Alltag.", "Zu Hause wurde wenig geübt."},
		plans:     []string{"Übergang auf die Satzebene.", "Mutter bekommt Übungsblätter mit.", "Befund an die HNO-Ärztin.", "Beim nächsten Mal in der Bäckerei üben.", "Pause von {klein} Wochen, dann Kontrolle."},
	},
	{
		name: "Psychotherapie", service: "Psychotherapie Einzelsitzung", minutes: 50, cents: 11000,
		complaints: []complaint{
			{"Mittelgradige depressive Episode", 18, 75, []string{"BDI-II {cm} Punkte.", "Schläft {klein} Stunden, Einschlafen dauert kürzer.", "Antrieb am Vormittag noch gering, nachmittags unterwegs.", "Keine Suizidgedanken, Absprachefähigkeit gegeben."}},
			{"Panikstörung", 17, 60, []string{"{klein} Attacken seit dem letzten Termin, Dauer bis {cm} Minuten.", "Hat den Bus wieder benutzt, Angst bis {nrs} von 10.", "Sicherheitsverhalten benannt: Wasserflasche, Platz am Ausgang.", "Körperempfindungen werden seltener als Gefahr gedeutet."}},
			{"Anpassungsstörung nach Trennung", 22, 65, []string{"Weint weniger, spricht von Erleichterung und Zweifel zugleich.", "Streit um die Betreuungszeiten beschäftigt weiter.", "Isst regelmäßiger, {klein} kg zugenommen.", "Hat zwei Freundinnen wieder getroffen."}},
			{"Erschöpfung bei beruflicher Überlastung", 25, 62, []string{"Krankenstand seit {klein} Wochen.", "Gedankenkreisen vor allem ab drei Uhr früh.", "Arbeitgeber hat Stufenplan angeboten.", "Erste Spaziergänge ohne Telefon."}},
		},
		measures:  []string{"Verhaltensanalyse einer Situation der Woche.", "Gedankenprotokoll durchgegangen, Alternativen gesucht.", "Exposition geplant, Schritte nach Angst geordnet.", "Stuhlarbeit zum inneren Kritiker.", "Aktivitätenaufbau: drei angenehme Vorhaben festgelegt.", "Entspannung nach Jacobson, Kurzform.", "Lebenslinie begonnen, Wendepunkte eingetragen."},
		reactions: []string{"Gut erreichbar, arbeitet offen mit.", "Anfangs verschlossen, gegen Ende spürbar entlastet.", "Nimmt eine Hausübung mit.", "Tränen bei der Erinnerung an den Vater, danach Ruhe.", "Zweifelt am Nutzen, Einwand wurde besprochen."},
		plans:     []string{"Hausübung: Protokoll einmal am Tag.", "Nächstes Mal Rückfallvorbeugung.", "Rücksprache mit der Psychiaterin, Einverständnis liegt vor.", "Termin mit Partner angeboten.", "Abstand auf {klein} Wochen erweitern."},
	},
}
