package doctor

import (
	"context"
	"strings"
	"testing"
)

func TestEveryCheckEndsInAFinding(t *testing.T) {
	checks := []Check{
		{"D01", "fine", func(context.Context) (Severity, string, string) { return OK, "all right", "" }},
		{"D02", "crash", func(context.Context) (Severity, string, string) { panic("boom") }},
		{"D03", "cancelled", func(ctx context.Context) (Severity, string, string) { <-ctx.Done(); select {} }},
	}
	if got := Run(context.Background(), checks, []string{"fine", "D02"}); len(got) != 2 || Worst(got) != Fail || !strings.Contains(got[1].Message, "boom") {
		t.Errorf("got %+v", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := Run(ctx, checks, []string{"cancelled"}); len(got) != 1 || got[0].Severity != Fail {
		t.Errorf("got %+v", got)
	}
}
