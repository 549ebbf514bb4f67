package faillint_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/seed-754044b3/roadworthy/tools/faillint"
	"github.com/seed-754044b3/roadworthy/tools/internal/failcode"
	"github.com/seed-754044b3/roadworthy/tools/internal/failcode/failcodetest"
)

// tree is testdata with package failure as it is today.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	failcodetest.Write(t, dir, failcodetest.Failure(t, "src/"+strings.TrimSuffix(failcode.Package, "/chassis/failure")))
	return dir
}

func TestEachRuleIsHeld(t *testing.T) {
	// All at once: what takes time is to load the standard library.
	analysistest.Run(t, tree(t), faillint.Analyzer,
		"good",          // code that is right is not reported
		"dot",           // types count, not names
		"literal",       // number and message are literals
		"declared",      // a code is declared in a package-level variable of its own
		"named",         // the variable is unexported
		"changed",       // the variable never changes
		"copied",        // no other package-level variable has the code
		"twice",         // a code is answered in one place
		"never",         // a code is answered
		"setname",       // the name of a set is a constant
		"duplicate",     // a number is declared once in its set
		"base", "above", // also in a set of another package
		"left", "right", // what two imports declare
		"meeting", "later", // is reported where they meet first
		"generated",      // generated code is held to the same
		"tested",         // tests may do what they like
		failcode.Package, // the chassis's own codes are exported, and everybody answers with them
	)
}

func TestTheAnalyzerIsOneThatCheckersAccept(t *testing.T) {
	if err := analysis.Validate([]*analysis.Analyzer{faillint.Analyzer}); err != nil {
		t.Error(err)
	}
}
