package roadworthy

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/roster"
)

const checkUsage = `usage: roadworthy failures check [-w] [-per-set] [-since REVISION]

Checks the failure codes of all packages of the module, or of the workspace, that this folder is in: no
number is declared twice, also in another service beside it; no set is made twice; and each module's
failure_codes.lock, which remembers every code there ever was, says what is declared today. A number in
it that is not declared any more is retired, and using it again is wrong. What one package alone shows
is for faillint to say.

What is built on this system with the build tags in GOFLAGS is what counts.

It exits with 0 if all is right, 1 if not, 2 if something could not be read.

`

const listUsage = `usage: roadworthy failures list [-json] [SET...]

Lists the failure codes of all packages of the module, or of the workspace, that this folder is in, with
where each is answered; retired ones too. A code of the chassis may be answered anywhere.

`

const docUsage = `usage: roadworthy failures doc [-w] FILE.md...

Compares tables of failure codes in Markdown with the code, or writes them. A table stands between two
lines:

    <!-- failures: SET -->
    <!-- end of failures -->

It exits with 0 if all is right, 1 if not, 2 if something could not be read.

`

// asked reads the flags of a command. It is done if that answers already, with the exit code.
func asked(flags *flag.FlagSet, usage string, args []string, stdout, stderr io.Writer) (code int, done bool) {
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	for _, a := range args {
		if a == "-h" || a == "-help" || a == "--help" {
			flags.SetOutput(stdout)
		}
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitYes, true
	case err != nil: // package flag has said it
		return exitWrong, true
	}
	return 0, false
}

// wrong tells that something could not be read.
func wrong(stderr io.Writer, flags *flag.FlagSet, err error) int {
	fmt.Fprintf(stderr, "%s: %v\n", flags.Name(), err)
	return exitWrong
}

// checkFailures answers "failures check".
func checkFailures(args []string, stdout, stderr io.Writer) int {
	var c roster.Checking
	flags := flag.NewFlagSet("roadworthy failures check", flag.ContinueOnError)
	flags.BoolVar(&c.Write, "w", false, "bring the locks up to date")
	flags.BoolVar(&c.PerSet, "per-set", false, "let sets of one module have the same numbers")
	flags.StringVar(&c.Since, "since", "", "a `revision` of git, such as origin/main: no line of its locks may be gone")
	if code, done := asked(flags, checkUsage, args, stdout, stderr); done {
		return code
	}
	if flags.NArg() > 0 {
		return wrong(stderr, flags, fmt.Errorf("want no arguments, got %q", flags.Args()))
	}
	ctx := context.Background()
	r, err := roster.Load(ctx, ".")
	if err != nil {
		return wrong(stderr, flags, err)
	}
	found, err := r.Check(ctx, c)
	if err != nil {
		return wrong(stderr, flags, err)
	}
	for _, p := range append(found.Problems, found.Stale...) {
		fmt.Fprintln(stderr, p)
	}
	switch {
	case found.OK():
		return exitYes
	case len(found.Problems) == 0:
		fmt.Fprintln(stderr, "roadworthy failures check -w brings the locks up to date")
	}
	return exitNo
}

// listFailures answers "failures list".
func listFailures(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("roadworthy failures list", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "write JSON")
	if code, done := asked(flags, listUsage, args, stdout, stderr); done {
		return code
	}
	r, err := roster.Load(context.Background(), ".")
	if err != nil {
		return wrong(stderr, flags, err)
	}
	list, err := r.List(flags.Args()...)
	if err != nil {
		return wrong(stderr, flags, err)
	}
	for _, p := range r.Problems {
		fmt.Fprintln(stderr, p)
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err = e.Encode(list)
	} else {
		err = roster.WriteText(stdout, list)
	}
	if err != nil {
		return wrong(stderr, flags, err)
	}
	return exitYes
}

// documentFailures answers "failures doc".
func documentFailures(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("roadworthy failures doc", flag.ContinueOnError)
	write := flags.Bool("w", false, "write the tables")
	if code, done := asked(flags, docUsage, args, stdout, stderr); done {
		return code
	}
	if flags.NArg() == 0 {
		return wrong(stderr, flags, errors.New("want the names of files, got none"))
	}
	r, err := roster.Load(context.Background(), ".")
	if err != nil {
		return wrong(stderr, flags, err)
	}
	code := exitYes
	for _, file := range flags.Args() {
		page, err := os.ReadFile(file)
		if err != nil {
			return wrong(stderr, flags, err)
		}
		if page, err = r.Document(page); err != nil {
			return wrong(stderr, flags, fmt.Errorf("%s: %w", file, err))
		}
		if err := golden.Sync(file, page, *write); err != nil {
			fmt.Fprintf(stderr, "%v\nroadworthy failures doc -w writes that\n", err)
			if _, stale := errors.AsType[*golden.StaleError](err); !stale {
				return exitWrong
			}
			code = exitNo
		}
	}
	return code
}
