package paper

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const sample = "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQQPZRY9X8GF2TVDW0S3JN54KH"

func TestO4_TypedLinesGiveTheTextBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Z0-9-]{1,200}`).Draw(t, "text")
		lines := Lines(text)
		for i := range lines {
			if rapid.Bool().Draw(t, "lower case") {
				lines[i] = strings.ToLower(lines[i])
			}
			if rapid.Bool().Draw(t, "other blanks") {
				lines[i] = "  " + strings.Join(strings.Fields(lines[i]), "   ")
			}
		}
		got, err := Join("# typed\n" + strings.Join(lines, "\n\n") + "\nlast")
		if err != nil || got != "# typed\n"+text+"\nlast" {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
	})
}

func TestO4_AMistypedLineIsNamed(t *testing.T) {
	lines := Lines(sample)
	if len(lines) != 4 {
		t.Fatalf("%d lines", len(lines))
	}
	edit := func(f func(l []string) []string) string { return strings.Join(f(append([]string{}, lines...)), "\n") }
	for name, c := range map[string]struct{ typed, want string }{
		"another letter":  {edit(func(l []string) []string { l[2] = strings.Replace(l[2], "X", "Y", 1); return l }), "line 3 of 4 is mistyped"},
		"swapped letters": {edit(func(l []string) []string { l[1] = swapFirst(l[1]); return l }), "line 2 of 4 is mistyped"},
		"a line left out": {edit(func(l []string) []string { return append(l[:1], l[2:]...) }), "line 2 of 4 is missing"},
		"the last one":    {edit(func(l []string) []string { return l[:3] }), "line 4 of 4 is missing"},
		"the first one":   {edit(func(l []string) []string { return l[1:] }), "line 1 of 4 is missing"},
		"swapped lines":   {edit(func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }), "line 2 of 4 is missing"},
		"another number":  {edit(func(l []string) []string { l[3] = "4/5" + l[3][3:]; return l }), "line 4 of 4 is missing"},
		"no checksum":     {edit(func(l []string) []string { l[0] = l[0][:len(l[0])-6]; return l }), "line 1 of 4 is mistyped"},
		"text between":    {edit(func(l []string) []string { l[1] = "what is this"; return l }), "line 2 of 4 is missing"},
	} {
		got, err := Join(c.typed)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "QPZRY") {
			t.Errorf("%s: the error quotes the text", name)
		}
	}
	got, err := Join(strings.Join(append(lines, lines...), "\n"))
	if err != nil || got != sample+"\n"+sample+"\n" {
		t.Errorf("two pages: %q, %v", got, err)
	}
}

func swapFirst(line string) string {
	b := []byte(line)
	for i := 5; i+1 < len(b); i++ {
		if b[i] != ' ' && b[i+1] != ' ' && b[i] != b[i+1] {
			b[i], b[i+1] = b[i+1], b[i]
			break
		}
	}
	return string(b)
}

func FuzzJoin(f *testing.F) {
	f.Add(strings.Join(Lines(sample), "\n"))
	f.Add("1/1  A  ABCD\n")
	f.Fuzz(func(t *testing.T, typed string) {
		if got, err := Join(typed); err == nil && !strings.Contains(typed, "/") && got != typed {
			t.Errorf("%q became %q", typed, got)
		}
	})
}
