package roadworthy_test

import (
	"bytes"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seed-754044b3/roadworthy/tools/roadworthy"
)

// What is cut out of a file must mean what it does there, at the same place.
func FuzzSection(f *testing.F) {
	for _, s := range []string{
		"", service, "a: {acl: {b: c}}", "a:\n  acl:\n    b: |\n      text\n\n      more\n  c: d\n", "a:\n  acl: # comment\n    ? b\n    : c\nd: e",
		"a: {acl: [1, 2], c: d}", "a: {acl: 'it''s'}", "a:\n  acl: &x\n    b: c\n", "a: *x", "{a: {acl: {\"b\": \"c, d}\"}}}", "a:\r\n  acl:\r\n    b: c\r\ne: f\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, ok, err := roadworthy.Section(data, []string{"a", "acl"})
		if err != nil || !ok {
			if len(text) > 0 && err == nil {
				t.Fatalf("%q is not found, but gives %q", data, text)
			}
			return
		}
		var whole struct {
			A struct {
				ACL yaml.Node `yaml:"acl"`
			} `yaml:"a"`
		}
		if yaml.Unmarshal(data, &whole) != nil || bytes.ContainsAny(data, "&*<!?") {
			return // anchors, aliases, merges, tags and complex keys are refused by who reads it
		}
		var want, got any
		var node yaml.Node
		if whole.A.ACL.Decode(&want) != nil {
			return
		}
		if err := yaml.Unmarshal(text, &node); err != nil {
			t.Fatalf("%q gives %q: %v", data, text, err)
		}
		if err := node.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q gives %q: %v, want %v; %v", data, text, got, want, err)
		}
		if len(node.Content) > 0 && node.Content[0].Line != whole.A.ACL.Line {
			t.Fatalf("%q gives %q, which is on line %d, not %d", data, text, whole.A.ACL.Line, node.Content[0].Line)
		}
	})
}
