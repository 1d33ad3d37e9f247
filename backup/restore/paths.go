package restore

import (
	"fmt"
	"path"
	"strings"

	"practicectl/internal/uerr"
)

// checkPaths refuses patterns that can match nothing.
func checkPaths(patterns []string) error {
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil || strings.HasPrefix(pattern, "/") {
			return uerr.New(uerr.Usage, "restore", pattern, fmt.Errorf("it is no pattern of a path in a snapshot"), `write it like --path 'files/etc/practice/*'`)
		}
	}
	return nil
}

// mayMatch tells whether something in a tree can match, so that trees of which nothing is wanted are not read.
func (p *Plan) mayMatch(tree string) bool {
	if !p.only(tree) {
		return false
	}
	for _, pattern := range p.Paths {
		first, _, _ := strings.Cut(pattern, "/")
		if ok, _ := path.Match(first, tree); ok { // patterns were checked
			return true
		}
	}
	return len(p.Paths) == 0
}

// matches tells whether an entry is wanted: it matches a pattern itself, or lies in a folder that does.
func (p *Plan) matches(tree, entry string) bool {
	if len(p.Paths) == 0 {
		return true
	}
	whole := tree + "/" + entry
	for _, pattern := range p.Paths {
		depth := strings.Count(strings.TrimSuffix(pattern, "/"), "/") + 1
		head := whole
		if parts := strings.SplitN(whole, "/", depth+1); len(parts) > depth {
			head = strings.Join(parts[:depth], "/")
		}
		if ok, _ := path.Match(strings.TrimSuffix(pattern, "/"), head); ok {
			return true
		}
	}
	return false
}
