package chassis_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestTheCodeInTheDocumentationIsTheCompiledExample(t *testing.T) {
	doc := regexp.MustCompile(`(?m)^// ?`).ReplaceAllString(readFile(t, "doc.go"), "")
	_, code, _ := strings.Cut(doc, "\tfunc main() { chassis.Main(hello) }\n\n")
	code, _, _ = strings.Cut(code, "\n\nThat service has")
	code = regexp.MustCompile(`(?m)^\t`).ReplaceAllString(code, "")
	if example := readFile(t, "example_test.go"); len(code) < 500 || !strings.Contains(example, code+"\n") {
		t.Errorf("doc.go shows code that example_test.go does not have:\n%s", code)
	}
}
