package server_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain keeps the random worlds few in the inner loop; more of them: -rapid.checks=1000.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("30"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
