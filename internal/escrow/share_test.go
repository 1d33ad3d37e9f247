package escrow

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawSecret(t *rapid.T) Secret {
	s := Secret{Kind: rapid.Byte().Draw(t, "kind")}
	copy(s.Bytes[:], rapid.SliceOfN(rapid.Byte(), SecretSize, SecretSize).Draw(t, "secret"))
	return s
}

// TestO4_EnoughSharesPutASecretTogether draws secrets, thresholds and subsets: any threshold of the shares give the secret, fewer do not,
// and the text of each goes through a person's hands.
func TestO4_EnoughSharesPutASecretTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := drawSecret(t)
		count := rapid.IntRange(2, maxCount).Draw(t, "count")
		threshold := rapid.IntRange(2, count).Draw(t, "threshold")
		shares, err := Split(secret, count, threshold, "practice")
		if err != nil {
			t.Fatal(err)
		}
		order := rapid.Permutation(shares).Draw(t, "order")
		n := rapid.IntRange(0, count).Draw(t, "given")
		given := make([]Share, 0, n)
		for _, s := range order[:n] {
			typed := s.Text()
			if rapid.Bool().Draw(t, "lower case") {
				typed = strings.ToLower(typed)
			}
			if len(typed) != TextSize || !IsShare(s.Text()) {
				t.Fatalf("a share of %d characters", len(typed))
			}
			again, err := Parse(typed)
			if err != nil || again != s || !again.IsFor("practice") || again.ForNothing() {
				t.Fatalf("%v: %v", again, err)
			}
			given = append(given, again)
		}
		got, err := Combine(given)
		switch {
		case n < threshold && !errors.Is(err, ErrTooFew):
			t.Fatalf("%d of %d: %v", n, threshold, err)
		case n >= threshold && (err != nil || got != secret):
			t.Fatalf("%d of %d: %v", n, threshold, err)
		}
	})
}

func TestO4_WrongSharesAreRefusedByName(t *testing.T) {
	secret := Secret{Kind: 1, Bytes: [SecretSize]byte{1, 2, 3}}
	one, err := Split(secret, 3, 2, "")
	if err != nil {
		t.Fatal(err)
	}
	two, err := Split(secret, 3, 2, "")
	if err != nil {
		t.Fatal(err)
	}
	forged := one[1]
	forged.data[yStart] ^= 1
	copy(forged.data[yStart+body:], sum(forged.data[:yStart+body]))
	higher := one[1]
	higher.data[yStart-3] = 3
	for name, c := range map[string]struct {
		shares []Share
		want   string
	}{
		"none":         {nil, "more shares"},
		"one":          {one[:1], "1 of the 2"},
		"one twice":    {[]Share{one[0], one[0]}, "1 of the 2"},
		"two sets":     {[]Share{one[0], two[1]}, "do not belong together"},
		"forged":       {[]Share{one[0], forged}, "do not agree"},
		"forged third": {[]Share{one[0], one[2], forged}, "do not agree"},
		"both":         {[]Share{one[1], forged}, "two different shares 2"},
		"threshold":    {[]Share{one[0], higher}, "do not belong together"},
	} {
		if _, err := Combine(c.shares); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, c := range [][2]int{{3, 1}, {2, 3}, {17, 2}, {0, 0}} {
		if _, err := Split(secret, c[0], c[1], ""); err == nil {
			t.Errorf("%d of %d were made", c[1], c[0])
		}
	}
}

func TestEachChangedCharacterOfAShareIsNoticed(t *testing.T) {
	shares, err := Split(Secret{Kind: 1}, 2, 2, "")
	if err != nil {
		t.Fatal(err)
	}
	text := shares[0].Text()
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	for i := range len(text) {
		other := letters[(strings.IndexByte(letters, text[i])+1+rand.IntN(31))%32]
		if changed := text[:i] + string(other) + text[i+1:]; changed != text {
			if _, err := Parse(changed); err == nil {
				t.Errorf("character %d was changed and nobody noticed", i)
			}
		}
	}
}

func TestSecretsAndSharesDoNotShowThemselves(t *testing.T) {
	secret := Secret{Kind: 1, Bytes: [SecretSize]byte([]byte("canary-canary-canary-canary-cana"))}
	shares, err := Split(secret, 2, 2, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(verb+verb, secret, shares[0]); strings.Contains(out, "canary") || strings.Contains(out, "99") && strings.Contains(out, "97, 110") || strings.Contains(out, shares[0].Text()) {
			t.Errorf("%s shows %s", verb, out)
		}
	}
}

func FuzzParse(f *testing.F) {
	shares, err := Split(Secret{Kind: 1}, 2, 2, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shares[0].Text())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(s.Text()); err != nil || again != s {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := Combine([]Share{s}); !errors.Is(err, ErrTooFew) {
			t.Errorf("one share gave a secret: %v", err)
		}
	})
}
