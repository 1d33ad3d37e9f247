package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "practicectl"

// root is the folder of the repository, seen from this package.
const root = "../.."

// file is one Go source file. Files for every operating system are read, so a rule cannot be broken on Windows only.
type file struct {
	path    string // from the root, with slashes: "backup/repo/open.go"
	pkg     string // folder: "backup/repo"
	test    bool
	syntax  *ast.File
	set     *token.FileSet
	lines   int
	imports []string
}

func (f file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

// generated tells whether a program wrote the file.
func (f file) generated() bool { return ast.IsGenerated(f.syntax) }

// readSource parses every Go file of the repository outside of testdata and hidden folders.
func readSource(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "dist") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := readFile(name)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 40 {
		t.Fatalf("read only %d files: is %s the root of the repository?", len(files), root)
	}
	return files
}

func readFile(name string) (file, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return file{}, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return file{}, err
	}
	slashed := filepath.ToSlash(rel)
	f := file{path: slashed, pkg: path.Dir(slashed), test: strings.HasSuffix(name, "_test.go"), syntax: syntax, set: set, lines: set.File(syntax.Pos()).LineCount()}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}

// under tells whether pkg is dir or lies below it.
func under(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }
