package web

import (
	"fmt"
	"strings"
)

// field is one labelled control of a form, with what is wrong with it.
type field struct {
	Name, Label, Value, Error, Hint string
	Type                            string // of an input; "textarea", "select"
	Required, Focus                 bool
	Auto, Mode, Step, Class         string
	Rows, Max                       string
	Options                         []option
}

// option is a choice.
type option struct{ Value, Label string }

// field makes a control out of its name, label key, value, the form's mistakes, and words: a type ("date"), "required",
// "focus", or name=value.
func (l *language) field(name, label string, value any, errs map[string]string, words ...any) (field, error) {
	f := field{Name: name, Label: l.t(label), Value: fmt.Sprint(value), Type: "text", Max: "200"}
	if e := errs[name]; e != "" {
		f.Error = l.t("error." + e)
	}
	for _, w := range words {
		switch w := w.(type) {
		case []option:
			f.Options, f.Type = w, "select"
		case string:
			key, v, named := strings.Cut(w, "=")
			switch {
			case !named && key == "required":
				f.Required = true
			case !named && key == "focus":
				f.Focus = true
			case !named:
				f.Type = key
			case key == "auto":
				f.Auto = v
			case key == "mode":
				f.Mode = v
			case key == "class":
				f.Class = v
			case key == "hint":
				f.Hint = l.t(v)
			case key == "rows":
				f.Rows, f.Type = v, "textarea"
			case key == "max":
				f.Max = v
			case key == "step":
				f.Step = v
			default:
				return f, fmt.Errorf("field %s: %q", name, w)
			}
		default:
			return f, fmt.Errorf("field %s: %T", name, w)
		}
	}
	return f, nil
}

// options is a list of choices whose labels stand in the catalog as family.word, "family.none" for the empty one.
func (l *language) options(family string, words ...string) []option {
	out := make([]option, len(words))
	for i, w := range words {
		label := l.say(family, w)
		if w == "" {
			label = l.t(family + ".none")
		}
		out[i] = option{w, label}
	}
	return out
}
