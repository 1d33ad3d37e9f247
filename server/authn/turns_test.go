package authn

import (
	"context"
	"testing"
)

func TestEachAddressWaitsForItselfOnly(t *testing.T) {
	turns := newTurns(1)
	first, err := turns.take(t.Context(), "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.take(gone, "10.0.0.1"); err == nil {
		t.Error("two turns at a time")
	}
	other, err := turns.take(t.Context(), "10.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan error, 1)
	go func() {
		done, err := turns.take(t.Context(), "10.0.0.1")
		if err == nil {
			done()
		}
		next <- err
	}()
	first()
	if err := <-next; err != nil {
		t.Error(err)
	}
	other()
	if len(turns.of) != 0 {
		t.Errorf("%d addresses are remembered for ever", len(turns.of))
	}
}
