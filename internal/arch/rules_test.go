package arch

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

const (
	longestFile = 500 // lines; a file that only holds data is not counted
	longestMain = 40
)

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	comments := map[string]string{}
	for _, f := range readSource(t) {
		if f.test && comments[f.pkg] != "" {
			continue
		}
		comments[f.pkg] += f.syntax.Doc.Text()
	}
	for pkg, comment := range comments {
		if len(strings.TrimSpace(comment)) < 20 {
			t.Errorf("%s has no package comment; its first line is the promise of the package", pkg)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range readSource(t) {
		if f.generated() || onlyData(f) {
			continue
		}
		if f.lines > longestFile {
			t.Errorf("%s has %d lines, more than %d: split it by content", f.path, f.lines, longestFile)
		}
		if under(f.pkg, "cmd") && !f.test && f.lines > longestMain {
			t.Errorf("%s has %d lines; a main holds signals and the exit code only", f.path, f.lines)
		}
	}
}

// onlyData tells whether a file declares no function.
func onlyData(f file) bool {
	for _, d := range f.syntax.Decls {
		if _, isFunc := d.(*ast.FuncDecl); isFunc {
			return false
		}
	}
	return true
}

func TestNothingRunsAtInit(t *testing.T) {
	for _, f := range readSource(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function; list it in the wiring instead", f.at(fn))
			}
		}
	}
}

// calls invokes fn for each call of the form name.method(…).
func calls(f file, fn func(call *ast.CallExpr, name, method string)) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok {
			fn(call, x.Name, selector.Sel.Name)
		}
		return true
	})
}

func TestOnlyMainsExit(t *testing.T) {
	for _, f := range readSource(t) {
		if f.test || under(f.pkg, "cmd") {
			continue
		}
		calls(f, func(call *ast.CallExpr, name, method string) {
			if name == "os" && method == "Exit" || name == "log" && (strings.HasPrefix(method, "Fatal") || strings.HasPrefix(method, "Panic")) {
				t.Errorf("%s: %s.%s; return an error instead", f.at(call), name, method)
			}
		})
	}
}

// TestLibrariesDoNotReadTheEnvironment: wiring reads the environment and standard streams, everything else is told.
func TestLibrariesDoNotReadTheEnvironment(t *testing.T) {
	for _, f := range readSource(t) {
		layer := placeOf(f.pkg).layer
		if f.test || layer >= testenvLayer {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := selector.X.(*ast.Ident)
			if !ok || x.Obj != nil {
				return true
			}
			switch x.Name + "." + selector.Sel.Name {
			case "os.Getenv", "os.LookupEnv", "os.Stdin", "os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println", "os.Args":
				t.Errorf("%s: %s.%s; the caller passes it in", f.at(n), x.Name, selector.Sel.Name)
			}
			return true
		})
	}
}

// TestNoTestIsSkipped: a missing prerequisite fails. A test that quietly does not run proves nothing.
func TestNoTestIsSkipped(t *testing.T) {
	for _, f := range readSource(t) {
		if under(f.pkg, "internal/arch") {
			continue
		}
		calls(f, func(call *ast.CallExpr, name, method string) {
			if (name == "t" || name == "b" || name == "f" || name == "tb") && (method == "Skip" || method == "Skipf" || method == "SkipNow") {
				t.Errorf("%s: %s.%s", f.at(call), name, method)
			}
		})
	}
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|(?i:not (yet )?implemented)`)

func TestNothingIsLeftUnfinished(t *testing.T) {
	for _, f := range readSource(t) {
		if under(f.pkg, "internal/arch") {
			continue
		}
		for _, group := range f.syntax.Comments {
			if m := unfinished.FindString(group.Text()); m != "" {
				t.Errorf("%s: comment says %q", f.at(group), m)
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if m := unfinished.FindString(lit.Value); m != "" {
					t.Errorf("%s: text says %q", f.at(lit), m)
				}
			}
			return true
		})
	}
}

// TestPackageVariablesAreNotAssigned: a variable of a package is a table or a sentinel; state lives in values.
func TestPackageVariablesAreNotAssigned(t *testing.T) {
	files := readSource(t)
	globals := map[string]map[string]bool{} // package folder and name to its variables
	key := func(f file) string { return f.pkg + " " + f.syntax.Name.Name }
	for _, f := range files {
		for _, d := range f.syntax.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, spec := range decl.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if globals[key(f)] == nil {
						globals[key(f)] = map[string]bool{}
					}
					globals[key(f)][name.Name] = name.Name != "_"
				}
			}
		}
	}
	for _, f := range files {
		if f.test {
			continue
		}
		local := globals[key(f)]
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			var targets []ast.Expr
			switch s := n.(type) {
			case *ast.AssignStmt:
				if s.Tok != token.DEFINE {
					targets = s.Lhs
				}
			case *ast.IncDecStmt:
				targets = []ast.Expr{s.X}
			}
			for _, target := range targets {
				if id := rootIdent(target); id != nil && local[id.Name] && isPackageLevel(f, id) {
					t.Errorf("%s: assigns to the package variable %s", f.at(n), id.Name)
				}
			}
			return true
		})
	}
}

// rootIdent returns a of a, a.b, a[i] and *a.
func rootIdent(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// isPackageLevel tells whether an identifier names a variable of the package: declared at the top of this file, or
// not declared in this file at all.
func isPackageLevel(f file, id *ast.Ident) bool {
	return id.Obj == nil || f.syntax.Scope.Lookup(id.Name) == id.Obj
}
