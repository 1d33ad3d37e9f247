package config

import (
	"reflect"
	"slices"
	"strings"
)

// Keys lists every key of the file in dotted form, sorted.
func Keys() []string {
	var keys []string
	collect(reflect.TypeFor[File](), "", &keys)
	slices.Sort(keys)
	return keys
}

func collect(t reflect.Type, prefix string, keys *[]string) {
	for i := range t.NumField() {
		field := t.Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		name := prefix + key
		*keys = append(*keys, name)
		of := field.Type
		if of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct {
			collect(of, name+".", keys)
		}
	}
}

// nearest returns the key that differs from key by at most three edits, or "".
func nearest(key string, keys []string) string {
	best, bestDistance := "", 4
	for _, k := range keys {
		if d := distance(key, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
