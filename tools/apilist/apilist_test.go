package apilist_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/apilist"
	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

const source = `package p

const Limit = 3
const hidden = 1

type State int

const Ready State = 1

var Err error

func New[T any](x T, more ...int) (*Box[T], error) { return nil, nil }

type Box[T any] struct {
	Value T
	Embedded
	private int
}

type Embedded struct{}

func (b *Box[T]) Get() (value T) { return b.Value }
func (b *Box[T]) private1()     {}
func (State) String() string     { return "" }

type Reader interface {
	Embed
	Read(p []byte) (n int, err error)
	private()
}

type Embed interface{ Close() error }

type Old = State

type Number interface{ ~int | ~float64 }
`

func check(t testing.TB, text string) *types.Package {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&types.Config{}).Check("example.com/p", set, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestListHasALineForEachExportedName(t *testing.T) {
	want := `const Limit untyped int = 3
const Ready State = 1
func New[T any](x T, more ...int) (*Box[T], error)
method (*Box[T]) Get() (value T)
method (State) String() string
type Box[T any] struct
type Box[T any] struct, Value T
type Box[T any] struct, embeds Embedded
type Embed interface
type Embed interface, Close() error
type Embedded struct
type Number interface
type Number interface, embeds ~int | ~float64
type Old = State
type Reader interface
type Reader interface, Read(p []byte) (n int, err error)
type Reader interface, embeds Embed
type Reader interface, unexported methods
type State int
var Err error`
	if got := strings.Join(apilist.List(check(t, source)), "\n"); got != want {
		t.Errorf("got\n%s\n\n%s", got, golden.Diff(got, want))
	}
}

func load(t *testing.T, files map[string]string) *workspace.Workspace {
	t.Helper()
	files["go.work"] = "go 1.26.0\nuse .\n"
	files["go.mod"] = "module example.com/m\n\ngo 1.26.0\n"
	w, err := workspace.Load(treetest.Write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSyncListsImportablePackagesAndDropsThoseThatAreGone(t *testing.T) {
	w := load(t, map[string]string{
		"m.go":                  "package m\n\nimport \"example.com/m/deep/q\"\n\nvar Q q.Q\n",
		"deep/q/q.go":           "package q\n\nimport \"context\"\n\ntype Q struct{ C context.Context }\n",
		"internal/x/x.go":       "package x\n\nconst X = 1\n",
		"cmd/tool/main.go":      "package main\n\nfunc main() {}\n",
		"docs/api/old/gone.txt": "const X = 1\n",
	})
	err := apilist.Sync(t.Context(), w, false)
	if _, stale := errors.AsType[*golden.StaleError](err); !stale || !strings.Contains(err.Error(), "gone.txt lists a package that is gone") {
		t.Errorf("got %v", err)
	}
	if err := apilist.Sync(t.Context(), w, true); err != nil {
		t.Fatal(err)
	}
	if err := apilist.Sync(t.Context(), w, false); err != nil {
		t.Errorf("stale after writing: %v", err)
	}
	if got, want := treetest.Read(t, w.Root, "docs/api/m.txt"), "var Q q.Q\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := treetest.Read(t, w.Root, "docs/api/deep/q.txt"), "type Q struct\ntype Q struct, C context.Context\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, absent := range []string{"old/gone.txt", "internal/x.txt", "cmd/tool.txt"} {
		if _, err := os.Stat(filepath.Join(w.Root, apilist.Folder, absent)); err == nil {
			t.Errorf("%s exists", absent)
		}
	}
}

func TestSyncAcceptsAModuleWithNothingToList(t *testing.T) {
	w := load(t, map[string]string{"cmd/tool/main.go": "package main\n\nfunc main() {}\n"})
	if err := apilist.Sync(t.Context(), w, false); err != nil {
		t.Error(err)
	}
}

func TestSyncSaysWhatIsWrong(t *testing.T) {
	if err := apilist.Sync(t.Context(), load(t, map[string]string{"m.go": "package m\n\nvar x int = \"\"\n"}), false); err == nil || !strings.Contains(err.Error(), "compile packages") {
		t.Errorf("a package that does not compile gave %v", err)
	}
	if err := apilist.Sync(t.Context(), &workspace.Workspace{Root: t.TempDir()}, false); err == nil {
		t.Error("a workspace without a root module passed")
	}
}

func ExampleList() {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "p.go", "package p\n\nfunc Add(a, b int) int { return a + b }\n", 0)
	if err != nil {
		panic(err)
	}
	p, err := (&types.Config{}).Check("example.com/p", set, []*ast.File{file}, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.Join(apilist.List(p), "\n"))
	// Output: func Add(a int, b int) int
}
