package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// nearestFlag returns the flag of c that shares the longest beginning or ending with name, if that is at least half of
// it, or "".
func nearestFlag(c *cobra.Command, name string) string {
	best, bestShared := "", (len(name)+1)/2-1
	c.Flags().VisitAll(func(f *pflag.Flag) {
		shared := max(sharedPrefix(name, f.Name), sharedPrefix(reversed(name), reversed(f.Name)))
		if shared > bestShared && !f.Hidden {
			best, bestShared = f.Name, shared
		}
	})
	return best
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func reversed(s string) string {
	var b strings.Builder
	for i := len(s) - 1; i >= 0; i-- {
		b.WriteByte(s[i])
	}
	return b.String()
}
