package authn

import "context"

// HashWith hashes with other parameters than the current ones.
func HashWith(ctx context.Context, password string, memory, passes, lanes uint32) (string, error) {
	return newHasher(1).with(ctx, password, params{memory, passes, lanes}, []byte("0123456789abcdef"))
}
