package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed i18n/*.json
var catalogFiles embed.FS

//go:embed templates/*.html
var templateFiles embed.FS

const languageCookie = "__Host-practice-language"

// language is one catalog with the templates that speak it.
type language struct {
	name  string
	texts map[string]string
	zone  *time.Location
	now   func() time.Time
	pages map[string]*template.Template // by file name without .html
}

func (w *Web) loadLanguages() (map[string]*language, error) {
	out := map[string]*language{}
	files, err := fs.Glob(catalogFiles, "i18n/*.json")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		l := &language{name: strings.TrimSuffix(path.Base(file), ".json"), zone: w.zone, now: w.opts.Now}
		data, err := catalogFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &l.texts); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out[l.name] = l
	}
	names := slices.Sorted(maps.Keys(out))
	for _, l := range out {
		if l.pages, err = w.parse(l, names); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// parse makes one set of templates a page: the layout and the parts, and the page's own "main".
func (w *Web) parse(l *language, names []string) (map[string]*template.Template, error) {
	base := template.New("").Option("missingkey=error").Funcs(l.functions()).Funcs(template.FuncMap{
		"asset":     w.address,
		"currency":  func() string { return w.opts.Currency },
		"languages": func() []string { return names },
	})
	base, err := base.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, err
		}
		pages[name] = t
	}
	return pages, nil
}

func (l *language) has(key string) bool { return l.texts[key] != "" }

// t is the text of a key with values put in. What is no key, such as a person's name, stays as it is.
func (l *language) t(key string, values ...any) string {
	text, ok := l.texts[key]
	if !ok {
		return key
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// count is the text of key.one or key.other with the number put in.
func (l *language) count(key string, n int) string {
	if n == 1 {
		return l.t(key+".one", n)
	}
	return l.t(key+".other", n)
}

// say translates a word of a family if the family knows it, and shows it as it is otherwise: custom roles, kinds, methods.
func (l *language) say(family, word string) string {
	if text, ok := l.texts[family+"."+word]; ok {
		return text
	}
	return word
}

func (l *language) functions() template.FuncMap {
	return template.FuncMap{
		"t": l.t, "count": l.count, "say": l.say, "has": l.has,
		"date": l.date, "month": l.monthYear, "longDate": l.longDate, "weekday": l.weekday, "clock": l.clock, "stamp": l.stamp, "age": l.age,
		"money": l.money, "amount": l.amount, "bytes": l.bytes,
		"isoDate": func(t time.Time) string { return t.In(l.zone).Format(time.DateOnly) },
		"dict":    dict, "field": l.field, "options": l.options, "initials": initials, "lines": func(s string) []string { return strings.Split(s, "\n") },
		"join": strings.Join, "minus": func(a, b int64) int64 { return a - b },
	}
}

// dict hands several values to a template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: %d values", len(pairs))
	}
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: key %v", pairs[i])
		}
		out[key] = pairs[i+1]
	}
	return out, nil
}

func initials(name string) string {
	out := []rune{}
	for _, word := range strings.Fields(name) {
		if r := []rune(word); !strings.HasSuffix(word, ".") {
			out = append(out, r[0])
		}
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	return string(out)
}
