// Command faillint checks that failure codes are declared once and used in one place; see package
// tools/faillint for the rules. It takes patterns of packages, as go vet does, or is that command's tool:
//
//	faillint ./...
//	go vet -vettool=$(which faillint) ./...
//
// Both are the same: called with patterns it has go vet call it, which keeps what it found of packages
// that did not change.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/seed-754044b3/roadworthy/tools/faillint"
)

func main() {
	if calledByVet(os.Args[1:]) {
		unitchecker.Main(faillint.Analyzer)
	}
	os.Exit(vet(os.Args[1:]))
}

// calledByVet reports whether go vet asks: what the tool can do, or for the check of one package.
func calledByVet(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		return arg == "-flags" || arg == "-V=full" || strings.HasSuffix(arg, ".cfg")
	})
}

// vet has go vet check the packages with this program; its exit code is go vet's.
func vet(args []string) int {
	if len(args) == 0 || strings.TrimLeft(args[0], "-") == "h" || strings.TrimLeft(args[0], "-") == "help" {
		fmt.Fprint(os.Stderr, "usage: faillint [FLAGS OF GO VET] PACKAGE...\n       go vet -vettool=$(which faillint) PACKAGE...\n\nChecks that failure codes are declared once and used in one place.\n")
		return 2
	}
	self, err := os.Executable()
	if err == nil {
		cmd := exec.Command("go", append([]string{"vet", "-vettool=" + self}, args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		err = cmd.Run()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "faillint: %v\n", err)
		return 2
	}
	return 0
}
