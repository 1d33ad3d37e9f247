package web_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"practicectl/internal/modpack"
	"practicectl/server/authz"
	"practicectl/server/problem"
)

func catalog(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("i18n/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

var verbs = regexp.MustCompile(`%(\[\d\])?[a-z]`)

// TestP24_CatalogsAreComplete: both languages know the same keys, with the same values put in, and say something.
func TestP24_CatalogsAreComplete(t *testing.T) {
	de, en := catalog(t, "de"), catalog(t, "en")
	for key, text := range de {
		other, ok := en[key]
		if !ok {
			t.Errorf("en lacks %q", key)
			continue
		}
		if strings.TrimSpace(text) == "" || strings.TrimSpace(other) == "" {
			t.Errorf("%q is empty", key)
		}
		if !slices.Equal(verbs.FindAllString(text, -1), verbs.FindAllString(other, -1)) {
			t.Errorf("%q takes other values in de and en: %q, %q", key, text, other)
		}
	}
	for key := range en {
		if _, ok := de[key]; !ok {
			t.Errorf("de lacks %q", key)
		}
	}
}

// families are keys whose second half comes from data: each word has to be there.
func families() map[string][]string {
	codes := []string{"internal", "internal.text"}
	for _, c := range []problem.Code{problem.NotFound, problem.Forbidden, problem.Stale, problem.Conflict, problem.Taken, problem.Locked, problem.Invalid, problem.TooLarge,
		problem.SignIn, problem.Refused, problem.Throttled, problem.Unavailable, problem.CrossOrigin} {
		codes = append(codes, string(c), string(c)+".text")
	}
	var days, months []string
	for i := range 12 {
		months = append(months, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}[i])
		if i < 7 {
			days = append(days, []string{"0", "1", "2", "3", "4", "5", "6"}[i])
		}
	}
	return map[string][]string{
		"problem": codes, "role": authz.Roles(), "day": days, "month": months,
		"status":     {"pending", "booked", "arrived", "done", "cancelled", "noshow", "planned", "held", "missed", "archived", "invited", "disabled"},
		"bill":       {"open", "paid", "cancelled"},
		"reason":     {"idle", "displaced", "revoked", "expired", "signed_out", "bye", "activated"},
		"error":      {"required", "invalid", "too_long", "too_short", "too_simple", "contains_name", "not_the_same", "wrong_password", "login_taken", "choose_patient"},
		"nav":        {"patients", "calendar", "sessions", "invoices", "accounts"},
		"module":     {"frontdesk", "clinical", "accounting", "admin"},
		"language":   {"de", "en"},
		"note.state": {"none", "draft", "signed"},
		"sex":        {"none", "f", "m", "x"}, "insurance": {"none", "statutory", "private", "self"}, "patient_status": {"active", "archived"},
		"method": {"transfer", "cash", "card", "other"},
		"done":   {"patient", "share", "document", "booked", "moved", "cancelled", "session", "note", "signed", "invoice", "invoice_cancelled", "payment", "password"},
		"patient": {"family_name", "given_name", "title", "sex", "birth_date", "street", "postal_code", "city", "country", "phone", "mobile", "email", "insurer", "insurance_no",
			"insurance_kind", "referrer", "language", "remark", "status"},
	}
}

var (
	inTemplate = regexp.MustCompile(`(?:\bt |count |field "[a-z_]+" |hint=)"?([a-z_]+(?:\.[a-z_]+)*)"`)
	inCode     = regexp.MustCompile(`"([a-z]+(?:\.[a-z_]+)+)"`)
)

// TestP24_EveryKeyIsKnownAndUsed reads the templates and the code: no key is missing, and none is left over.
func TestP24_EveryKeyIsKnownAndUsed(t *testing.T) {
	de := catalog(t, "de")
	used := map[string]bool{}
	need := func(where, key string) {
		if _, ok := de[key]; ok {
			used[key] = true
			return
		}
		if _, ok := de[key+".one"]; ok {
			used[key+".one"], used[key+".other"] = true, true
			return
		}
		t.Errorf("%s: the catalogs lack %q", where, key)
	}
	for family, words := range families() {
		for _, w := range words {
			need("a family", family+"."+w)
		}
	}
	templates, err := filepath.Glob("templates/*.html")
	if err != nil || len(templates) < 20 {
		t.Fatal(templates, err)
	}
	for _, file := range templates {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inTemplate.FindAllStringSubmatch(string(text), -1) {
			need(file, m[1])
		}
	}
	code, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range code {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inCode.FindAllStringSubmatch(string(text), -1) {
			if _, ok := de[m[1]]; ok && !strings.HasSuffix(file, "_test.go") {
				used[m[1]] = true
			}
		}
	}
	for key := range de {
		if !used[key] {
			t.Errorf("nobody uses %q", key)
		}
	}
}

// TestP24_ModulesAndScreensUseTheSameWords: the client's modules and the server's navigation call a thing by one name.
func TestP24_ModulesAndScreensUseTheSameWords(t *testing.T) {
	packs := map[string]modpack.Module{}
	for _, name := range families()["module"] {
		data, err := os.ReadFile("../../modules/" + name + "/" + modpack.FileName)
		if err != nil {
			t.Fatal(err)
		}
		if packs[name], err = modpack.Parse(data); err != nil {
			t.Fatal(err)
		}
	}
	for lang, texts := range map[string]map[string]string{"de": catalog(t, "de"), "en": catalog(t, "en")} {
		for key, text := range texts {
			name, ok := strings.CutPrefix(key, "module.")
			if ok && packs[name].Title[lang] != text {
				t.Errorf("%s in %s: the screens say %q, the module %q", name, lang, text, packs[name].Title[lang])
			}
		}
	}
}
