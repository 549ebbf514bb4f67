package spawn_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/spawn"
)

// repository is a workspace with a module, beside what files say.
func repository(t testing.TB, files map[string]string) *workspace.Workspace {
	t.Helper()
	all := map[string]string{"go.work": "go 1.26.0\nuse .\n", "go.mod": "module example.com/m\n\ngo 1.26.0\n"}
	for name, text := range files {
		all[name] = text
	}
	w, err := workspace.Load(treetest.Repository(t, all))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// find returns the sites as text, with their places.
func find(t testing.TB, w *workspace.Workspace) []string {
	t.Helper()
	found, err := spawn.Find(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s @ %s", f.Site, strings.Join(f.Places, ", ")))
	}
	return lines
}

func TestWhatStartsWorkIsFound(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"a goroutine":                          {"go x.run()", "go x.run"},
		"a goroutine of a literal":             {"go func() {}()", "go func"},
		"a goroutine of a literal in brackets": {"go (func() {})()", "go func"},
		"a goroutine of a generic function":    {"go run[int]()", "go run[int]"},
		"a channel":                            {"_ = make(chan int)", "make(chan int)"},
		"a channel with room":                  {"_ = make(chan<- int, 2*n)", "make(chan<- int, 2*n)"},
		"a channel over several lines":         {"_ = make(chan struct {\n\t\tn int\n\t}, 3)", "make(chan struct { n int }, 3)"},
		"a type that may be a channel":         {"_ = make(http.Header)", "make(http.Header)"},
		"a type parameter":                     {"_ = make(T)", "make(T)"},
		"a group":                              {"wg.Go(f)", "wg.Go"},
		"a group that may refuse":              {"g.TryGo(f)", "g.TryGo"},
		"a method value":                       {"start := wg.Go", "wg.Go"},
		"a timer":                              {"_ = time.AfterFunc(d, f)", "time.AfterFunc"},
		"a timer of a clock":                   {"_ = s.clock.AfterFunc(d, f)", "s.clock.AfterFunc"},
		"a helper of the package":              {"Go(f)", "Go"},
		"a server":                             {"_ = s.Serve(l)", "s.Serve"},
		"a channel by reflection":              {"_ = reflect.MakeChan(t, 1)", "reflect.MakeChan"},
		"a linked list":                        {"l.PushBack(x)", "l.PushBack"},
		"a heap":                               {"heap.Push(&h, x)", "heap.Push"},
		"a field used as a queue":              {"q.items = q.items[1:]", "q.items = q.items[1:]"},
		"one of several fields":                {"x, q.items = q.items[0], q.items[n:]", "q.items = q.items[n:]"},
		"an element used as a queue":           {"m[k] = m[k][1:]", "m[k] = m[k][1:]"},
		"a channel in a literal in a call":     {"f(func() { _ = make(chan int) })", "make(chan int)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := repository(t, map[string]string{"a.go": "package a\n\nfunc f() {\n\t" + c.code + "\n}\n"})
			if got, want := strings.Join(find(t, w), "\n"), ".: f: "+c.want+" @ a.go:4"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestAGoroutineOfAServerIsBothStarts(t *testing.T) {
	w := repository(t, map[string]string{"a.go": "package a\n\nfunc f() { go s.Serve(l) }\n"})
	if got, want := find(t, w), []string{".: f: go s.Serve @ a.go:3", ".: f: s.Serve @ a.go:3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatStartsNothingIsNotFound(t *testing.T) {
	for name, code := range map[string]string{
		"a slice":                      "_ = make([]int, 3)",
		"a slice in brackets":          "_ = make(([]int), 3)",
		"a map":                        "_ = make(map[string]int)",
		"a method called make":         "_ = x.make(y)",
		"a make without a type":        "make()",
		"a list that only shrinks":     "l.Remove(e)",
		"a variable cut from in front": "b = b[1:]",
		"a field cut at its end":       "s.b = s.b[:n]",
		"a field cut from another":     "s.b = s.c[1:]",
		"several results of a call":    "s.b, err = f()",
		"a field of its name":          "_ = x{Go: 1}",
	} {
		t.Run(name, func(t *testing.T) {
			w := repository(t, map[string]string{"a.go": "package a\n\nfunc f() {\n\t" + code + "\n}\n"})
			if got := find(t, w); len(got) != 0 {
				t.Errorf("found %q", got)
			}
		})
	}
}

func TestASiteIsNamedByThePackageAndTheFunctionItIsIn(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"a function":                         {"func f() { go g() }", "f"},
		"a generic function":                 {"func f[T any]() { go g() }", "f"},
		"a method":                           {"func (s S) f() { go g() }", "(S).f"},
		"a method of a pointer":              {"func (*S) f() { go g() }", "(*S).f"},
		"a method in brackets":               {"func (s (*(S))) f() { go g() }", "(*S).f"},
		"a method of a generic type":         {"func (s *S[T]) f() { go g() }", "(*S).f"},
		"a method of a type with parameters": {"func (s S[K, V]) f() { go g() }", "(S).f"},
		"a literal in a function":            {"func f() { x := func() { go g() }; x() }", "f"},
		"a variable":                         {"var v = func() int { go g(); return 1 }()", "var v"},
		"a variable beside another":          {"type t int\n\nvar (\n\tv, w = func() (a, b int) { go g(); return 1, 2 }()\n)", "var v"},
	} {
		t.Run(name, func(t *testing.T) {
			w := repository(t, map[string]string{"deep/a/a.go": "package a\n\n" + c.code + "\n"})
			got := find(t, w)
			if len(got) != 1 || !strings.HasPrefix(got[0], "deep/a: "+c.want+": go g @ ") {
				t.Errorf("got %q, want one in %q", got, c.want)
			}
		})
	}
}

func TestFilesOfTheWorkspaceAreReadAndTestsAreNot(t *testing.T) {
	const code = "package a\n\nfunc f() { go g() }\n"
	w := repository(t, map[string]string{
		"go.work":                 "go 1.26.0\nuse (\n\t.\n\t./nested\n)\n",
		".gitignore":              "out\n",
		"a_linux.go":              code,
		"a_windows.go":            code,
		"a_test.go":               code,
		"testdata/a.go":           code,
		"_old/a.go":               code,
		".hidden/a.go":            code,
		"out/a.go":                code,
		"deep/down/a.go":          code,
		"nested/go.mod":           "module example.com/m/nested\n",
		"nested/in/a.go":          code,
		"nested/outside/go.mod":   "module example.com/outside\n",
		"nested/outside/a.go":     code,
		"nested/outside/low/a.go": code,
	})
	want := []string{
		".: f: go g @ a_linux.go:3, a_windows.go:3",
		"deep/down: f: go g @ deep/down/a.go:3",
		"nested/in: f: go g @ nested/in/a.go:3",
	}
	if got := find(t, w); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFindSaysWhatItCannotRead(t *testing.T) {
	w := repository(t, map[string]string{"a.go": "package a\n\nfunc {\n", "b.go": "pack b"})
	_, err := spawn.Find(t.Context(), w)
	for _, want := range []string{"parse Go file: ", "a.go:3:", "b.go:1:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := spawn.Find(t.Context(), &workspace.Workspace{Root: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "list Go files") {
		t.Errorf("outside a repository: %v", err)
	}
}
