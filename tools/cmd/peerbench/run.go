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
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/peerbench"
)

const usage = `peerbench measures what a request costs, side by side: on the chassis, on net/http and grpc-go alone,
and on the stacks that people use instead. It prints Markdown tables.

usage: peerbench -build
       peerbench [flags]

With -build it builds the programs of the peers, in the root of the repository, and ends. It needs
taskset, h2load and nginx (Debian: util-linux, nghttp2-client, nginx-light). A server runs on processor 0, the load on
processor 1. Let nothing else run on either.

`

// options are the flags.
type options struct {
	build                       bool
	bin, protocols, peers, json string
	features, half              bool
	limit                       time.Duration
	rounds, serverCPU, loadCPU  int
	duration, warmup            time.Duration
	rate                        float64
}

func (o *options) flags(stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("peerbench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&o.build, "build", false, "build the programs of the peers and end")
	fs.StringVar(&o.bin, "bin", "out/bin", "`directory` of the programs")
	fs.StringVar(&o.protocols, "protocols", "http1,grpc", "what is spoken, with commas between: http1, h2 (with TLS), grpc")
	fs.StringVar(&o.peers, "peers", "", "`names` of the peers to measure, where they speak the protocol, with semicolons between; bare is always measured (default all)")
	fs.BoolVar(&o.features, "features", false, "a line for each feature of the chassis that can be switched, alone, as well")
	fs.BoolVar(&o.half, "half", false, "offer half of what bare answers when it is saturated, and show how long answers take")
	fs.Float64Var(&o.rate, "rate", 0, "requests a second to offer (default as many as are answered)")
	fs.IntVar(&o.rounds, "rounds", 40, "rounds through all peers")
	fs.DurationVar(&o.duration, "duration", 250*time.Millisecond, "how long a peer is measured in a round")
	fs.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "how long it is loaded before the first")
	fs.IntVar(&o.serverCPU, "server-cpu", 0, "processor of the server")
	fs.IntVar(&o.loadCPU, "load-cpu", 1, "processor of the load")
	fs.DurationVar(&o.limit, "limit", 10*time.Minute, "how long it may take; what would take longer is refused, and what does is cut short")
	fs.StringVar(&o.json, "json", "", "`file` for every sample as JSON")
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	return fs
}

// run is the command: 0 when everything was measured, 1 when not, 2 when it was asked wrongly.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	fs := o.flags(stderr)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0:
		fmt.Fprintln(stderr, "peerbench: want no arguments; -h shows the flags")
		return 2
	}
	do := o.measure
	if o.build {
		do = func(ctx context.Context, _, stderr io.Writer) error {
			return peerbench.Build(ctx, ".", o.bin, stderr)
		}
	}
	if err := do(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "peerbench:", err)
		return 1
	}
	return 0
}

func (o *options) measure(ctx context.Context, stdout, stderr io.Writer) (err error) {
	// Servers run in directories of their own.
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	runs, err := o.runs(stderr)
	if err != nil {
		return err
	}
	var estimate time.Duration
	for _, r := range runs {
		estimate += r.Estimate()
	}
	if estimate > o.limit {
		return fmt.Errorf("it would take about %v: want fewer rounds or peers, or a -limit of more than %v", estimate.Round(time.Second), o.limit)
	}
	fmt.Fprintf(stderr, "peerbench: takes about %v\n", estimate.Round(time.Second))
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	var results []*peerbench.Result
	for _, r := range runs {
		result, runErr := peerbench.Run(ctx, r)
		if result != nil && result.Rounds > 0 {
			results = append(results, result)
			if err := result.WriteTable(stdout); err != nil {
				return err
			}
			fmt.Fprintln(stdout)
		}
		if err = runErr; err != nil {
			break
		}
	}
	return errors.Join(err, o.writeJSON(results))
}

// runs are what the flags ask for.
func (o *options) runs(stderr io.Writer) ([]peerbench.Options, error) {
	var names []string
	if o.peers != "" {
		names = strings.Split(o.peers, ";")
	}
	spoken := strings.Split(o.protocols, ",")
	if err := o.known(names, spoken); err != nil {
		return nil, err
	}
	var runs []peerbench.Options
	for _, protocol := range spoken {
		p := peerbench.Protocol(protocol)
		peers, err := o.choose(p, names)
		if err != nil {
			return nil, err
		}
		runs = append(runs, peerbench.Options{
			Protocol: p, Peers: peers, Rounds: o.rounds, Duration: o.duration, Warmup: o.warmup, Rate: o.rate, Half: o.half,
			ServerCPU: o.serverCPU, LoadCPU: o.loadCPU,
			Progress: func(round int) { fmt.Fprintf(stderr, "%s: round %d of %d\n", p, round, o.rounds) },
		})
	}
	return runs, nil
}

// known refuses protocols that there are not, and names of peers that speak none of them.
func (o *options) known(names, spoken []string) error {
	var all []peerbench.Peer
	for _, protocol := range spoken {
		p := peerbench.Protocol(protocol)
		if !slices.Contains(peerbench.Protocols(), p) {
			return fmt.Errorf("-protocols: want some of %v, got %q", peerbench.Protocols(), protocol)
		}
		all = append(all, peerbench.Peers(o.bin, p, false)...)
	}
	if _, err := peerbench.Select(all, names); err != nil {
		return fmt.Errorf("-peers: %w", err)
	}
	return nil
}

// choose selects those of the named peers that speak p; no name selects all. The features are not chosen:
// they come with -features.
func (o *options) choose(p peerbench.Protocol, names []string) ([]peerbench.Peer, error) {
	all := peerbench.Peers(o.bin, p, false)
	spoken := []string{peerbench.Bare}
	for _, name := range names {
		if slices.Contains(peerbench.Names(all), name) {
			spoken = append(spoken, name)
		}
	}
	if len(names) == 0 {
		spoken = nil
	}
	peers, err := peerbench.Select(all, spoken)
	if o.features {
		peers = append(peers, peerbench.Peers(o.bin, p, true)[len(all):]...)
	}
	return peers, err
}

func (o *options) writeJSON(results []*peerbench.Result) (err error) {
	if o.json == "" {
		return nil
	}
	f, err := os.Create(o.json)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	e := json.NewEncoder(f)
	e.SetIndent("", "  ")
	return e.Encode(results)
}
