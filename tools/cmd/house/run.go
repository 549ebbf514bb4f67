package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/seed-754044b3/roadworthy/tools/apilist"
	"github.com/seed-754044b3/roadworthy/tools/coverage"
	"github.com/seed-754044b3/roadworthy/tools/deps"
	"github.com/seed-754044b3/roadworthy/tools/docsync"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/modproxy"
	"github.com/seed-754044b3/roadworthy/tools/plot"
	"github.com/seed-754044b3/roadworthy/tools/spawn"
	"github.com/seed-754044b3/roadworthy/tools/tidy"
)

// A command checks one thing in the workspace w, or puts it in order when write is set.
type command struct {
	name, args, doc string
	run             func(ctx context.Context, w *workspace.Workspace, write bool, args []string) error
}

var commands = []command{
	{"api", "", "the exported API of the root module is as listed in " + apilist.Folder, withoutArgs(apilist.Sync)},
	{"coverage", "PROFILE...", "library packages are covered by tests, as " + coverage.File + " says",
		func(_ context.Context, w *workspace.Workspace, write bool, args []string) error {
			return coverage.Sync(w, args, write)
		}},
	{"deps", "", "packages link what " + deps.File + " says, and keep to their floors", withoutArgs(deps.Sync)},
	{"docsync", "", "Go code in Markdown is a copy of compiled code, and local links lead somewhere", withoutArgs(docsync.Sync)},
	{"modproxy", "FOLDER", "no check: packs every module as " + packedVersion + " into a proxy of files", pack},
	{"plot", "", plot.Picture + " is drawn from the figures in " + plot.Data, withoutArgs(plot.Sync)},
	{"spawn", "", "what starts work is listed with its bound and reason in " + spawn.File, withoutArgs(spawn.Sync)},
	{"tidy", "", "go.mod and go.sum of every module are tidy, with siblings that are not released", withoutArgs(tidy.Sync)},
}

const packedVersion = "v0.1.0"

func withoutArgs(sync func(context.Context, *workspace.Workspace, bool) error) func(context.Context, *workspace.Workspace, bool, []string) error {
	return func(ctx context.Context, w *workspace.Workspace, write bool, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unexpected argument %q", args[0])
		}
		return sync(ctx, w, write)
	}
}

func pack(ctx context.Context, w *workspace.Workspace, _ bool, args []string) error {
	if len(args) != 1 {
		return errors.New("want one argument, the folder of the proxy")
	}
	dir, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	cache, err := os.MkdirTemp("", "modproxy-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	return tidy.Pack(ctx, w, modproxy.Proxy{Dir: dir}, cache, packedVersion)
}

// run is the program, started in the folder dir. It returns 0, or 1 when something is not in order, or
// 2 when it was called wrongly.
func run(ctx context.Context, dir string, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("house", flag.ContinueOnError)
	flags.SetOutput(stderr)
	write := flags.Bool("w", false, "write what a check would compare")
	flags.Usage = func() { usage(stderr) }
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		w, err := workspace.Load(dir)
		if err == nil {
			err = c.run(ctx, w, *write, flags.Args())
		}
		if err != nil {
			fmt.Fprintf(stderr, "house %s: %v\n", c.name, err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(stderr, "house: there is no check %q\n\n", args[0])
	usage(stderr)
	return 2
}

func usage(stderr io.Writer) {
	fmt.Fprint(stderr, "usage: house CHECK [-w] [ARGUMENT...]\n\nChecks (with -w the files are written instead of compared):\n")
	for _, c := range commands {
		fmt.Fprintf(stderr, "  %-20s %s\n", c.name+" "+c.args, c.doc)
	}
}
