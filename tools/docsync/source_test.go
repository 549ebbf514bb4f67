package docsync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/docsync"
)

const source = `// Package p is documented.
package p

import "fmt"

// Limit is documented.
const Limit = 3

var (
	// A is one of two.
	A = 1
	B, C = 2, 3
)

// T is a type.
type T struct {
	N int
}

type (
	G[X any]        struct{ x X }
	M[X, Y any]     struct{}
)

// Do does it.
func (t *T) Do() {
	fmt.Println("do")
}

func (G[X]) Get() {}

func (M[X, Y]) Put() {}

func Do() int {
	//doc:begin inner
	x := 1
	if x > 0 {
		x++
	}
	//doc:end inner
	//doc:begin inner
	return x
	//doc:end inner
}

func ExampleT() {
	//doc:begin part
	fmt.Println("ready")
	//doc:end part

	// Output: ready
}

func ExampleEmpty() {}

func external()
`

func TestExcerptFindsThePartThatIsNamed(t *testing.T) {
	for name, want := range map[string]string{
		"Limit":        "const Limit = 3\n",
		"A":            "A = 1\n",
		"C":            "B, C = 2, 3\n",
		"T":            "type T struct {\n\tN int\n}\n",
		"G":            "G[X any]        struct{ x X }\n",
		"T.Do":         "func (t *T) Do() {\n\tfmt.Println(\"do\")\n}\n",
		"G.Get":        "func (G[X]) Get() {}\n",
		"M.Put":        "func (M[X, Y]) Put() {}\n",
		"Do":           "func Do() int {\n\tx := 1\n\tif x > 0 {\n\t\tx++\n\t}\n\treturn x\n}\n",
		"inner":        "x := 1\nif x > 0 {\n\tx++\n}\nreturn x\n",
		"ExampleT":     "fmt.Println(\"ready\")\n\n// Output: ready\n",
		"ExampleEmpty": "func ExampleEmpty() {}\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := docsync.Excerpt([]byte(source), name)
			if err != nil || got != want {
				t.Errorf("got %q, %v\nwant %q", got, err, want)
			}
		})
	}
}

func TestExcerptWithoutANameIsTheFileWithoutItsRegionMarks(t *testing.T) {
	got, err := docsync.Excerpt([]byte(source), "")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "// Package p is documented.\npackage p\n") || strings.Contains(got, "//doc:") || !strings.HasSuffix(got, "external()\n") {
		t.Errorf("got:\n%s", got)
	}
}

func TestExcerptSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ source, name, want string }{
		"nothing of that name":  {source, "Nothing", "is called Nothing"},
		"function without body": {source, "external", "is called external"},
		"region never ends":     {"package p\n//doc:begin a\n", "a", "no //doc:end a"},
		"not Go":                {"pack", "a", "parse Go source"},
		"odd receiver":          {"package p\nfunc (x []int) M() {}\n", "T.M", "is called T.M"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := docsync.Excerpt([]byte(c.source), c.name)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzExcerptEndsInOneNewline(f *testing.F) {
	f.Add(source, "inner")
	f.Add(source, "")
	f.Add("package p\nvar A = `\n`", "A")
	f.Fuzz(func(t *testing.T, text, name string) {
		got, err := docsync.Excerpt([]byte(text), name)
		if err == nil && (!strings.HasSuffix(got, "\n") || strings.HasSuffix(got, "\n\n")) {
			t.Errorf("got %q", got)
		}
	})
}

func ExampleExcerpt() {
	text, err := docsync.Excerpt([]byte("package p\n\nfunc Answer() int { return 42 }\n"), "Answer")
	fmt.Print(text, err)
	// Output:
	// func Answer() int { return 42 }
	// <nil>
}
