package escrow

// The field GF(2^8) of AES: bytes, with addition as exclusive or and multiplication modulo x^8 + x^4 + x^3 + x + 1. Neither branches
// nor tables depend on the values, since they are secret.

// mul multiplies.
func mul(a, b byte) byte {
	var p byte
	for range 8 {
		p ^= -(b & 1) & a
		carry := -(a >> 7)
		a = a<<1 ^ carry&0x1b
		b >>= 1
	}
	return p
}

// inverse of a, which is not zero: a^254.
func inverse(a byte) byte {
	out := byte(1)
	for range 7 { // 254 = 2 + 4 + … + 128
		a = mul(a, a)
		out = mul(out, a)
	}
	return out
}

// evaluate computes the polynomial with these coefficients, the constant first, at x.
func evaluate(coefficients []byte, x byte) byte {
	var out byte
	for i := len(coefficients) - 1; i >= 0; i-- {
		out = mul(out, x) ^ coefficients[i]
	}
	return out
}

// constant is the polynomial through the points (xs, ys) at zero. All xs differ and none is zero.
func constant(xs, ys []byte) byte {
	var out byte
	for i := range xs {
		term := ys[i]
		for j := range xs {
			if i != j {
				term = mul(term, mul(xs[j], inverse(xs[j]^xs[i])))
			}
		}
		out ^= term
	}
	return out
}
