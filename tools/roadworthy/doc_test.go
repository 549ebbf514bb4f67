package roadworthy_test

import (
	"os"
	"strings"
	"testing"
)

// What docs/access.md shows is what the command does.
func TestTheDocumentationShowsWhatHappens(t *testing.T) {
	page, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```yaml\n")
	configuration, after, found := strings.Cut(after, "```\n")
	if !found {
		t.Fatal("there is no configuration")
	}
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"service.yaml": configuration, "bad.txt": "# seen in the logs\n198.51.100.0/24\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var shown, happens strings.Builder
	asked := 0
	for line := range strings.Lines(after) {
		text, isCode := strings.CutPrefix(line, "    ")
		if !isCode {
			continue
		}
		shown.WriteString(text)
		if args, isCommand := strings.CutPrefix(text, "$ roadworthy "); isCommand {
			asked++
			_, out, errs := ask(t, strings.Fields(args)...)
			happens.WriteString(text + out + errs)
		}
	}
	if shown.String() != happens.String() || asked != 3 {
		t.Errorf("after %d commands:\n%s\nshown is:\n%s", asked, &happens, &shown)
	}
}
