package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/seed-754044b3/roadworthy/tools/compat"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

const help = `usage: compat breaking [-against COMMIT] [-buf PROGRAM]
       compat matrix [-with COMMIT] [-last N] [-patience D] [-v]
       compat scenarios [-with COMMIT] [-patience D] [-v]

breaking compares the protobuf contracts with those of the last release, by buf (.ci/install buf), and the
routes, metrics and failure codes that services promise.
matrix runs the client suites of the last releases on the fake of this tree, and those of this tree on theirs.
scenarios tells where a scenario of this tree comes out otherwise on the production program of the last release.

Releases are those of docs/releases.md. While there is none, each says so and succeeds; -against and -with
name any commit in a release's place.
`

// run is the program, started in the folder dir. It returns 0, or 1 when something breaks, or 2 when it was called
// wrongly.
func run(ctx context.Context, dir string, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, help)
		return 2
	}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, help) }
	var check func(root string) error
	last := new(1)
	switch args[0] {
	case "breaking":
		against := fs.String("against", "", "")
		buf := fs.String("buf", filepath.Join("out", "bin", "buf"), "")
		check = func(root string) error { return breaking(ctx, root, *against, *buf, stdout) }
	case "matrix", "scenarios":
		with := fs.String("with", "", "")
		if args[0] == "matrix" {
			last = fs.Int("last", 3, "")
		}
		patience := fs.Duration("patience", compat.Patience, "")
		verbose := fs.Bool("v", false, "")
		check = func(root string) error {
			some, err := releases(root, *with, *last, stdout)
			if err != nil || len(some) == 0 {
				return err
			}
			o := compat.Options{Patience: *patience}
			if *verbose {
				o.Log = stdout
			}
			if args[0] == "scenarios" {
				return compat.Scenarios(ctx, root, some[0], o, stdout)
			}
			return compat.Matrix(ctx, root, some, o, stdout)
		}
	default:
		fmt.Fprintf(stderr, "compat: there is no %q\n\n%s", args[0], help)
		return 2
	}
	if err := fs.Parse(args[1:]); err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "compat %s: unexpected argument %q\n", args[0], fs.Arg(0))
		return 2
	}
	if *last < 1 {
		fmt.Fprintf(stderr, "compat %s: -last is %d, want 1 or more\n", args[0], *last)
		return 2
	}
	w, err := workspace.Load(dir)
	if err == nil {
		err = check(w.Root)
	}
	if err != nil {
		fmt.Fprintf(stderr, "compat %s: %v\n", args[0], err)
		return 1
	}
	return 0
}

// releases are those to hold the tree against: the commit, if one is named, or the last n that are recorded. While
// there is none, it says so.
func releases(root, commit string, n int, stdout io.Writer) ([]compat.Release, error) {
	if commit != "" {
		return []compat.Release{{Version: commit, Commit: commit}}, nil
	}
	all, err := compat.Read(root)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		fmt.Fprintf(stdout, "nothing is released yet, as %s says: there is nothing to hold this tree against\n", compat.File)
	}
	return all[:min(n, len(all))], nil
}

func breaking(ctx context.Context, root, against, buf string, stdout io.Writer) error {
	last, err := releases(root, against, 1, stdout)
	if err != nil || len(last) == 0 {
		return err
	}
	if !filepath.IsAbs(buf) {
		buf = filepath.Join(root, buf)
	}
	return errors.Join(compat.Breaking(ctx, root, buf, last[0], stdout), compat.Promises(ctx, root, last[0], stdout))
}
