package modpack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"practicectl/internal/uerr"
)

// Refused is a module that is on the disk and not used.
type Refused struct {
	Name string
	Err  error
}

// Installed opens every module below opt (Layout.Opt): "module-NAME/current". Modules that were changed, or that need
// one that is not there, are refused and do not harm the others. Both lists are sorted by name. Error kind: Failed when
// the folder itself cannot be read; a folder that does not exist holds no modules.
func Installed(opt string) (modules []Module, refused []Refused, err error) {
	entries, err := os.ReadDir(opt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, uerr.New(uerr.Failed, "list the modules in", opt, err, "")
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), ComponentPrefix)
		current := filepath.Join(opt, e.Name(), "current")
		if !ok {
			continue
		}
		if _, err := os.Lstat(current); errors.Is(err, fs.ErrNotExist) {
			continue // only remains of a removed one
		}
		m, err := Open(current)
		if err == nil && m.Name != name {
			err = uerr.New(uerr.Integrity, "open the module in", current, fmt.Errorf("it is %q", m.Name), "practicectl component verify")
		}
		if err != nil {
			refused = append(refused, Refused{name, err})
			continue
		}
		modules = append(modules, m)
	}
	return dropUnmet(modules, refused)
}

// dropUnmet refuses modules whose requirements are not met until nothing changes any more.
func dropUnmet(modules []Module, refused []Refused) ([]Module, []Refused, error) {
	for {
		unmet := slices.IndexFunc(modules, func(m Module) bool { return missing(m, modules) != "" })
		if unmet < 0 {
			slices.SortFunc(refused, func(a, b Refused) int { return strings.Compare(a.Name, b.Name) })
			return modules, refused, nil
		}
		m := modules[unmet]
		err := uerr.New(uerr.Precond, "open the module", m.Name, fmt.Errorf("it needs the module %s", missing(m, modules)),
			"practicectl component add "+ComponentPrefix+missing(m, modules))
		modules, refused = slices.Delete(modules, unmet, unmet+1), append(refused, Refused{m.Name, err})
	}
}

func missing(m Module, among []Module) string {
	for _, need := range m.Requires {
		if !slices.ContainsFunc(among, func(o Module) bool { return o.Name == need }) {
			return need
		}
	}
	return ""
}
