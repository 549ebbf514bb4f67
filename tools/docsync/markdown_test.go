package docsync_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/docsync"
)

func excerpt(path, name string) (string, error) {
	if path == "gone.go" {
		return "", errors.New("no such file")
	}
	return "// " + path + " " + name + "\nx := 1\n", nil
}

func TestRewriteCopiesExamplesIntoTheBlocksThatNameThem(t *testing.T) {
	const text = "# Title\n\n<!-- example: a.go#F -->\n\n```go\nold\n```\n\n```sh\nls\n```\n<!-- example: b.go -->\n~~~~go\n```\n~~~~\nend ```inline``` text\n"
	const want = "# Title\n\n<!-- example: a.go#F -->\n\n```go\n// a.go F\nx := 1\n```\n\n```sh\nls\n```\n<!-- example: b.go -->\n~~~~go\n// b.go \nx := 1\n~~~~\nend ```inline``` text\n"
	got, errs := docsync.Rewrite(text, excerpt)
	if len(errs) > 0 || got != want {
		t.Errorf("got %q, %v\nwant %q", got, errs, want)
	}
}

func TestRewriteNamesTheLineThatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"Go without a mark":      {"a\n\n```go\nx\n```\n", "line 3: Go block without"},
		"mark without a block":   {"<!-- example: a.go -->\ntext\n", "line 1: example a.go is not followed"},
		"mark at the end":        {"\n<!-- example: a.go -->\n", "line 2: example a.go is not followed"},
		"block never closed":     {"a\n```go\nx\n", "line 2: block is never closed"},
		"example not to be had":  {"<!-- example: gone.go#F -->\n```go\nx\n```\n", "line 1: example gone.go#F: no such file"},
		"mark used up by text":   {"<!-- example: a.go -->\ntext\n```go\nx\n```\n", "line 3: Go block without"},
		"two marks, one a block": {"<!-- example: a.go -->\n<!-- example: b.go -->\n```go\n```\n", "line 1: example a.go is not followed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, errs := docsync.Rewrite(c.text, excerpt)
			if err := errors.Join(errs...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !strings.Contains(c.want, "line 1: example a.go is not") && got != c.text {
				t.Errorf("text changed to %q", got)
			}
		})
	}
}

func TestIndentedCodeIsNoFence(t *testing.T) {
	const text = "    ```go\n\ntext\n"
	if got, errs := docsync.Rewrite(text, excerpt); len(errs) > 0 || got != text {
		t.Errorf("got %q, %v", got, errs)
	}
}

func TestLinksAreThoseToFilesAndHeadingsHere(t *testing.T) {
	const text = "[a](a.md) and ![p](img/p.png \"title\") [w](https://example.com/x) [m](mailto:a@example.com)\n" +
		"`[code](no.md)` [h](#head) [both](b.md#part) [odd](<c.md>)\n```\n[fenced](no.md)\n```\n[ref]: d.md\n<img src=\"e.png\"> <a href=\"//example.com\">x</a>\n"
	want := []docsync.Link{{1, "a.md", ""}, {1, "img/p.png", ""}, {2, "", "head"}, {2, "b.md", "part"}, {2, "c.md", ""}, {6, "d.md", ""}, {7, "e.png", ""}}
	if got := docsync.Links(text); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestAnchorsAreMadeAsHostingSitesMakeThem(t *testing.T) {
	const text = "# Hello, World!\n## `code` and [link](x.md)\n### Same\n### Same\n```\n# not a heading\n```\n#no heading\n"
	got := docsync.Anchors(text)
	for _, want := range []string{"hello-world", "code-and-link", "same", "same-1"} {
		if !got[want] {
			t.Errorf("no anchor %q in %v", want, got)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %v", got)
	}
}

func FuzzRewriteOfWhatItWroteChangesNothing(f *testing.F) {
	f.Add("<!-- example: a.go#F -->\n```go\nold\n```\n")
	f.Add("~~~~\n```\n~~~~\n<!-- example: a.go -->")
	f.Fuzz(func(t *testing.T, text string) {
		once, _ := docsync.Rewrite(text, excerpt)
		twice, _ := docsync.Rewrite(once, excerpt)
		if once != twice {
			t.Errorf("first %q, then %q", once, twice)
		}
		docsync.Links(text)
		docsync.Anchors(text)
	})
}

func ExampleRewrite() {
	text, errs := docsync.Rewrite("<!-- example: main.go#answer -->\n~~~go\n~~~\n", func(path, name string) (string, error) {
		return "const answer = 42 // " + path + "\n", nil
	})
	fmt.Print(text)
	fmt.Println(len(errs))
	// Output:
	// <!-- example: main.go#answer -->
	// ~~~go
	// const answer = 42 // main.go
	// ~~~
	// 0
}
