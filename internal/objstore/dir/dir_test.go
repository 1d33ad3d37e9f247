package dir_test

import (
	"testing"

	"practicectl/internal/objstore"
	"practicectl/internal/objstore/dir"
	"practicectl/internal/objstore/storetest"
)

func TestO4_Conformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objstore.Store {
		st, err := dir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return st
	})
}
