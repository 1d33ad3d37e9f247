package sealed

import (
	"errors"
	"strings"
)

// Identities are written in Bech32 (BIP 173) with upper-case letters. It is decoded here only to divide the 32 bytes of an identity
// into shares, and encoded to put them together: age itself keeps the bytes to itself.

const bech32Letters = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"

func bech32Checksum(prefix string, values []byte) uint32 {
	sum := uint32(1)
	step := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	prefix = strings.ToLower(prefix)
	for i := range len(prefix) {
		step(prefix[i] >> 5)
	}
	step(0)
	for i := range len(prefix) {
		step(prefix[i] & 31)
	}
	for _, v := range values {
		step(v)
	}
	return sum
}

// bech32Encode writes data after an upper-case prefix.
func bech32Encode(prefix string, data []byte) string {
	var values []byte
	acc, bits := uint32(0), 0
	for _, b := range data {
		acc, bits = acc<<8|uint32(b), bits+8
		for ; bits >= 5; bits -= 5 {
			values = append(values, byte(acc>>(bits-5)&31))
		}
	}
	if bits > 0 {
		values = append(values, byte(acc<<(5-bits)&31))
	}
	sum := bech32Checksum(prefix, append(values, 0, 0, 0, 0, 0, 0)) ^ 1
	for i := range 6 {
		values = append(values, byte(sum>>(5*(5-i))&31))
	}
	out := []byte(prefix + "1")
	for _, v := range values {
		out = append(out, bech32Letters[v])
	}
	return string(out)
}

// bech32Decode reads what bech32Encode wrote.
func bech32Decode(prefix, text string) ([]byte, error) {
	bad := errors.New("it is not a whole private key")
	letters, ok := strings.CutPrefix(text, prefix+"1")
	if !ok || len(letters) < 6 {
		return nil, bad
	}
	values := make([]byte, len(letters))
	for i := range len(letters) {
		v := strings.IndexByte(bech32Letters, letters[i])
		if v < 0 {
			return nil, bad
		}
		values[i] = byte(v)
	}
	if bech32Checksum(prefix, values) != 1 {
		return nil, bad
	}
	var data []byte
	acc, bits := uint32(0), 0
	for _, v := range values[:len(values)-6] {
		acc, bits = acc<<5|uint32(v), bits+5
		if bits >= 8 {
			bits -= 8
			data = append(data, byte(acc>>bits))
		}
	}
	if bits >= 5 || acc&(1<<bits-1) != 0 {
		return nil, bad
	}
	return data, nil
}
