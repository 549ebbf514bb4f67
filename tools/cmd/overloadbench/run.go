package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/overloadbench"
)

const usage = `overloadbench offers servers more than they can do, over HTTP and gRPC, and prints as Markdown what good comes of it.

usage: overloadbench [flags]

Each run takes 6 s: users come at 0.7 of the capacity, then at a multiple of it, then at 0.7 again. The server on
the chassis is overloadd, the others are overloadpeers; README.md of the package tells how both are built. It
exits with 1 when the server on the chassis misses a gate.

`

// options are the flags.
type options struct {
	bin, servers, clients, protocols, loads, json string
	bench                                         overloadbench.Options
}

func (o *options) flags(stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("overloadbench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.bin, "bin", "out/bin", "`directory` of the programs")
	fs.StringVar(&o.servers, "servers", "", "`names` of the servers, with semicolons between (default all)")
	fs.StringVar(&o.clients, "clients", "", "none, defaults and ours, with commas between (default all; ours asks the server on the chassis only)")
	fs.StringVar(&o.protocols, "protocols", "", "http and grpc, with commas between (default both)")
	fs.StringVar(&o.loads, "loads", "", "multiples of the capacity, with commas between (default 1,2,5,10)")
	fs.IntVar(&o.bench.Small, "small", 0, "how many small tenants ask for a twentieth of the capacity each beside the one that asks for the load")
	fs.IntVar(&o.bench.Workers, "workers", 0, "how much a server can do at a time (default 4)")
	fs.DurationVar(&o.bench.Mean, "mean", 0, "how long work takes on average (default 20ms)")
	fs.DurationVar(&o.bench.Deadline, "deadline", 0, "how long users wait (default 100ms)")
	fs.DurationVar(&o.bench.Before, "before", 0, "how long little is offered first (default 1s)")
	fs.DurationVar(&o.bench.Overload, "overload", 0, "how long too much is offered (default 3s)")
	fs.DurationVar(&o.bench.After, "after", 0, "how long little is offered afterwards (default and at least 2s)")
	fs.Uint64Var(&o.bench.Seed, "seed", 0, "of when users come (default 1)")
	fs.StringVar(&o.json, "json", "", "`file` for the results as JSON")
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	return fs
}

// run is the command: 0 when all gates hold, 1 when one does not or something could not be measured, 2 when it
// was asked wrongly.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	fs := o.flags(stderr)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0:
		fmt.Fprintln(stderr, "overloadbench: want no arguments; -h shows the flags")
		return 2
	}
	if err := o.complete(); err != nil {
		fmt.Fprintln(stderr, "overloadbench:", err)
		return 2
	}
	if err := o.measure(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "overloadbench:", err)
		return 1
	}
	return 0
}

// complete makes of the flags what is to be run.
func (o *options) complete() error {
	bin, err := filepath.Abs(o.bin) // servers run in directories of their own
	if err != nil {
		return err
	}
	all := overloadbench.Servers(bin)
	o.bench.Servers = all
	if o.servers != "" {
		o.bench.Servers = nil
		for name := range strings.SplitSeq(o.servers, ";") {
			i := slices.IndexFunc(all, func(s overloadbench.Server) bool { return s.Name == name })
			if i < 0 {
				var names []string
				for _, s := range all {
					names = append(names, s.Name)
				}
				return fmt.Errorf("-servers: no server %q: want one of %s", name, strings.Join(names, "; "))
			}
			o.bench.Servers = append(o.bench.Servers, all[i])
		}
	}
	o.bench.Clients = list[overloadbench.Client](o.clients)
	o.bench.Protocols = list[overloadbench.Protocol](o.protocols)
	for _, text := range list[string](o.loads) {
		load, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("-loads: %w", err)
		}
		o.bench.Loads = append(o.bench.Loads, load)
	}
	return nil
}

// list splits at commas; the empty text has no parts.
func list[T ~string](text string) (parts []T) {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		parts = append(parts, T(part))
	}
	return parts
}

func (o *options) measure(ctx context.Context, stdout, stderr io.Writer) error {
	o.bench.Progress = func(r overloadbench.Result) {
		fmt.Fprintf(stderr, "%s over %s, client %s, load %v: goodput %.2f %s\n", r.Server, r.Protocol, r.Client, r.Load, r.Goodput, r.Failure)
	}
	results, err := overloadbench.Run(ctx, o.bench)
	errs := []error{err, overloadbench.WriteTable(stdout, results), o.writeJSON(results)}
	for _, r := range results {
		errs = append(errs, r.Check())
	}
	return errors.Join(errs...)
}

func (o *options) writeJSON(results []overloadbench.Result) error {
	if o.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(text, '\n'), 0o644)
}
