// Package paper puts a short secret on a page that can be printed, and reads back what was typed from one.
//
// The text stands on the page as a QR code and as numbered lines of four groups of five characters, each ended by a checksum, so that
// a mistyped line is named. For example:
//
//	1/4  AGE-S ECRET -KEY- 1QPZR  K7QF
package paper

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const (
	group     = 5
	lineWidth = 4 * group
)

// Lines divides a text of capital letters, digits and dashes into lines for people to type.
func Lines(text string) []string {
	total := (len(text) + lineWidth - 1) / lineWidth
	out := make([]string, total)
	for i := range out {
		part := text[i*lineWidth : min(len(text), (i+1)*lineWidth)]
		var groups []string
		for at := 0; at < len(part); at += group {
			groups = append(groups, part[at:min(len(part), at+group)])
		}
		out[i] = fmt.Sprintf("%d/%d  %-*s  %s", i+1, total, lineWidth+3, strings.Join(groups, " "), checksum(i+1, total, part))
	}
	return out
}

// checksum is 4 letters and digits over a line and its place.
func checksum(number, total int, part string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "practicectl paper %d/%d %s", number, total, part))
	return base32.StdEncoding.EncodeToString(sum[:])[:4]
}

var lineForm = regexp.MustCompile(`^\s*(\d{1,2})\s*/\s*(\d{1,2})\s+(\S.*\S)\s*$`)

// Join puts typed lines together again: each run of lines 1/n to n/n becomes one line of the text. Other lines pass unchanged. Case and
// blanks do not matter. Errors name lines and never quote them.
func Join(data string) (string, error) {
	var out, text strings.Builder
	next, total := 1, 0
	for line := range strings.Lines(data) {
		m := lineForm.FindStringSubmatch(line)
		if m == nil {
			if total > 0 && strings.TrimSpace(line) != "" {
				return "", missing(next, total)
			}
			if total == 0 {
				out.WriteString(line)
			}
			continue
		}
		number, _ := strconv.Atoi(m[1])
		of, _ := strconv.Atoi(m[2])
		switch {
		case total == 0 && number != 1:
			return "", missing(1, of)
		case total > 0 && (number != next || of != total):
			return "", missing(next, total)
		}
		typed := strings.ToUpper(strings.Join(strings.Fields(m[3]), ""))
		if len(typed) < 5 {
			return "", mistyped(number, of)
		}
		part, sum := typed[:len(typed)-4], typed[len(typed)-4:]
		if checksum(number, of, part) != sum {
			return "", mistyped(number, of)
		}
		text.WriteString(part)
		next, total = number+1, of
		if number == of {
			out.WriteString(text.String() + "\n")
			text.Reset()
			next, total = 1, 0
		}
	}
	if total > 0 {
		return "", missing(next, total)
	}
	return out.String(), nil
}

func missing(number, total int) error {
	return fmt.Errorf("line %d of %d is missing", number, total)
}

func mistyped(number, total int) error {
	return fmt.Errorf("line %d of %d is mistyped: its last four characters do not fit", number, total)
}
