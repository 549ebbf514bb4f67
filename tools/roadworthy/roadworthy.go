// Package roadworthy is the command roadworthy: what operators and developers of a service ask that the
// service need not run for. The command itself is tools/cmd/roadworthy.
package roadworthy

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Exit codes.
const (
	exitYes   = 0
	exitNo    = 1 // what was asked is answered with no
	exitWrong = 2 // it was asked wrongly, or something could not be read
)

// A command is one thing that can be asked.
type command struct {
	name []string
	doc  string
	run  func(args []string, stdout, stderr io.Writer) int
}

var commands = []command{
	{[]string{"acl", "explain"}, "say whether an address may call a path, and which rule decides", explain},
	{[]string{"report"}, "tell from access logs how fast pages are, as text, HTML or JSON", reportPages},
	{[]string{"failures", "check"}, "check that failure codes are unique, and no number is used again", checkFailures},
	{[]string{"failures", "list"}, "list the failure codes of a module, and where each is answered", listFailures},
	{[]string{"failures", "doc"}, "check or write tables of failure codes in documentation", documentFailures},
	{[]string{"error"}, "find what an error id that a user quotes stands for", findError},
}

// Run is the command with its arguments, without its name. It returns the exit code: 0 for yes, 1 for no,
// 2 when it was asked wrongly or something could not be read, which stderr is told.
func Run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && isHelp(args[0]) {
		usage(stdout, commands)
		return exitYes
	}
	if len(args) > 1 && isHelp(args[1]) {
		if group := commandsOf(args[0]); len(group) > 0 {
			usage(stdout, group)
			return exitYes
		}
	}
	for _, c := range commands {
		if len(args) >= len(c.name) && slices.Equal(args[:len(c.name)], c.name) {
			return c.run(args[len(c.name):], stdout, stderr)
		}
	}
	if len(args) > 0 {
		fmt.Fprintf(stderr, "roadworthy: there is no command %q\n\n", strings.Join(args[:min(2, len(args))], " "))
	}
	usage(stderr, commands)
	return exitWrong
}

func isHelp(arg string) bool { return slices.Contains([]string{"help", "-h", "-help", "--help"}, arg) }

// commandsOf are the commands of two words that begin with that one.
func commandsOf(word string) (group []command) {
	for _, c := range commands {
		if len(c.name) > 1 && c.name[0] == word {
			group = append(group, c)
		}
	}
	return group
}

func usage(w io.Writer, commands []command) {
	fmt.Fprint(w, "usage: roadworthy COMMAND [ARGUMENT...]\n\nCommands (-h behind one tells more):\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-15s %s\n", strings.Join(c.name, " "), c.doc)
	}
}
