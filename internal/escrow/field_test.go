package escrow

import "testing"

func TestTheFieldIsThatOfAES(t *testing.T) {
	for _, c := range [][3]byte{{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, {0x02, 0x80, 0x1b}, {0xff, 0x00, 0x00}, {0x01, 0xab, 0xab}} { // FIPS 197, 4.2
		if got := mul(c[0], c[1]); got != c[2] || mul(c[1], c[0]) != c[2] {
			t.Errorf("%#x times %#x is %#x, want %#x", c[0], c[1], got, c[2])
		}
	}
	for a := 1; a < 256; a++ {
		if got := mul(byte(a), inverse(byte(a))); got != 1 {
			t.Errorf("%#x times its inverse is %#x", a, got)
		}
	}
}

// TestOneShareSaysNothing: with threshold 2, for each secret each value of a share comes from exactly one polynomial, so a share alone
// fits every secret equally well.
func TestOneShareSaysNothing(t *testing.T) {
	for _, x := range []byte{1, 2, 3, 16, 255} {
		for secret := range 256 {
			var seen [256]bool
			for c := range 256 {
				seen[evaluate([]byte{byte(secret), byte(c)}, x)] = true
			}
			for v, ok := range seen {
				if !ok {
					t.Fatalf("at %d the value %#x rules out the secret %#x", x, v, secret)
				}
			}
		}
	}
}
