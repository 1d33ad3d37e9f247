package uerr

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestExitCodesAreUniqueAndComplete(t *testing.T) {
	seen := map[int]bool{}
	for i, r := range Kinds {
		if seen[r.Exit] {
			t.Errorf("exit code %d appears twice", r.Exit)
		}
		seen[r.Exit] = true
		if r.Kind != Kind(i) {
			t.Errorf("row %d is kind %d: the table must follow the order of the constants", i, r.Kind)
		}
	}
	if Terminated.Info().Exit != 143 {
		t.Errorf("last row is %+v", Terminated.Info())
	}
}

func TestKindAndHintComeFromTheOutermostError(t *testing.T) {
	inner := New(Unreachable, "reach the store", "s3://x", errors.New("refused"), "check the network")
	outer := New(Precond, "run the backup", "", fmt.Errorf("wrapped: %w", inner), "")
	if KindOf(outer) != Precond || HintOf(outer) != "check the network" {
		t.Errorf("got %v, %q", KindOf(outer), HintOf(outer))
	}
	if got, want := outer.Error(), "run the backup: wrapped: reach the store s3://x: refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if ExitCode(context.Canceled) != 130 || ExitCode(nil) != 0 || ExitCode(errors.New("x")) != 1 {
		t.Error("plain errors have wrong exit codes")
	}
}
