package compat_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/compat"
)

const head = "# Releases\n\n| version | date | modules | commit |\n|---|---|---|---|\n"

func TestReleasesAreReadFromTheirTable(t *testing.T) {
	got, err := compat.Parse(head +
		"| v0.2.0 | 2027-01-02 | all | `0123abc` |\n" +
		"| [v0.1.0](../CHANGELOG.md) | 2026-12-01 | all | [89abcdef0123](https://example.com/89abcdef0123) |\n\nSome text.\n")
	want := []compat.Release{{Version: "v0.2.0", Commit: "0123abc"}, {Version: "v0.1.0", Commit: "89abcdef0123"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
}

func TestATableWithoutReleasesIsNoError(t *testing.T) {
	if got, err := compat.Parse(head); err != nil || len(got) != 0 {
		t.Errorf("read %v, %v; want none", got, err)
	}
}

func TestTheReleasesOfThisRepositoryCanBeRead(t *testing.T) {
	if _, err := compat.Read("../.."); err != nil {
		t.Error(err)
	}
}

func TestATableThatIsWrongIsRefusedWithThePlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no table":          {"# Releases\n", "no table with the columns version, date, modules, commit"},
		"too few columns":   {head + "| v0.1.0 | 0123abc |\n", "docs/releases.md:5: the line has 2 columns"},
		"no version":        {head + "| 0.1.0 | d | m | 0123abc |\n", `docs/releases.md:5: "0.1.0" is no version`},
		"no commit":         {head + "| v0.1.0 | d | m | main |\n", `docs/releases.md:5: v0.1.0: "main" is no commit`},
		"an option":         {head + "| v0.1.0 | d | m | --upload-pack=x |\n", "is no commit"},
		"the oldest first":  {head + "| v0.1.0 | d | m | 0123abc |\n| v0.2.0 | d | m | 0123abd |\n", "docs/releases.md:6: v0.2.0 stands below v0.1.0"},
		"twice":             {head + "| v0.1.0 | d | m | 0123abc |\n| v0.1.0 | d | m | 0123abd |\n", "docs/releases.md:6: v0.1.0 stands below v0.1.0"},
		"above the columns": {"| v0.1.0 | d | m | 0123abc |\n" + head, "docs/releases.md:1: a release stands above the table's header"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := compat.Parse(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("read %v, %v; want an error with %q", got, err, c.want)
			}
		})
	}
}

func TestWithoutAFileOfReleasesItIsSaidWhatItIsFor(t *testing.T) {
	if _, err := compat.Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "docs/releases.md is missing: it records the releases") {
		t.Errorf("the error is %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + "| v0.1.0 | d | m | `0123abc` |\n")
	f.Add("|||||\n|`|`|`|`|")
	f.Fuzz(func(t *testing.T, text string) {
		releases, err := compat.Parse(text)
		if err != nil && releases != nil {
			t.Fatalf("both %v and %v", releases, err)
		}
		for _, r := range releases {
			// What was read can be written and is read as the same.
			again, err := compat.Parse(head + "|" + r.Version + "|||" + r.Commit + "|")
			if err != nil || len(again) != 1 || again[0] != r {
				t.Fatalf("%+v is read again as %+v, %v", r, again, err)
			}
		}
	})
}
