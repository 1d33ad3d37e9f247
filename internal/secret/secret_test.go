package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTextRedactsItselfEverywhere(t *testing.T) {
	const canary = "canary-7f3a"
	v := struct{ S Text }{New(canary)}
	js, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", v.S, "struct", v)
	for _, out := range []string{fmt.Sprint(v), fmt.Sprintf("%+v %#v %s %v %q", v, v, v.S, v.S, v.S), string(js), log.String()} {
		if strings.Contains(out, canary) {
			t.Errorf("secret shows in %q", out)
		}
	}
	if v.S.Reveal() != canary {
		t.Error("Reveal lost the text")
	}
}
