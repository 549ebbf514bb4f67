package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

const usage = `lossbench counts what is lost while a service is replaced again and again, by clients that never retry.

usage: lossbench -target "COMMAND ARGUMENTS" [flags]

The command is started as it stands (split at spaces, no quoting), with flags behind it that say where to
listen, on ports that are free:

  -http.addr ADDR -grpc.addr ADDR -https.addr ADDR -https.tls.cert FILE -https.tls.key FILE

for the listeners named by -listen, with -pid-file FILE for -reload tableflip and -fault_file FILE for -fault.
Its run directory is one of its own, by RUNTIME_DIRECTORY. It must have the routes of lossd. Any other service is asked with -listen "" -url URL -health ADDR.

It exits with 1 when a request failed, a reload was not done, an old process stayed, or something leaked.

`

// options are the flags.
type options struct {
	target, listen, protocols, urls, mode, json, output string
	expectZero                                          bool
	bench                                               lossbench.Bench
}

func (o *options) flags(stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("lossbench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	b, l := &o.bench, &o.bench.Load
	fs.StringVar(&o.target, "target", "", "`command` that serves")
	fs.StringVar(&o.listen, "listen", "http,https,grpc", "listeners of the command that are given addresses")
	fs.StringVar(&o.mode, "reload", string(lossbench.Signal), "how it is replaced: signal (SIGHUP to it), restart (SIGTERM, then started again), tableflip (SIGHUP to the process in its pid file)")
	fs.IntVar(&b.Reloads, "reloads", 20, "number of reloads")
	fs.DurationVar(&b.Interval, "interval", 0, "from one reload to the next (default 1.2s)")
	fs.DurationVar(&b.Warmup, "warmup", 0, "before the first reload and after the last (default 1s)")
	fs.DurationVar(&b.ReadyTimeout, "ready-timeout", 0, "for a new worker to answer (default 10s)")
	fs.DurationVar(&b.DrainTimeout, "drain-timeout", 0, "for an old one to be gone (default 30s)")
	fs.BoolVar(&b.CheckLeaks, "check-leaks", false, "compare open files and zombies of the command before and after")
	fs.StringVar(&b.Fault, "fault", "", "what keeps the workers of all reloads but the last from being ready: panic, error or hang")
	fs.DurationVar(&l.Delay, "delay", 0, "one-way distance between clients and service")
	fs.DurationVar(&l.Idle, "idle", 0, "longest time between two requests of the protocols h1-idle, tls-h1-idle and tls-h2-idle (default 1.5s)")
	fs.DurationVar(&l.Timeout, "timeout", 0, "how long a client waits for an answer (default 5s)")
	fs.Float64Var(&l.Rate, "rate", lossbench.DefaultRate, "requests a second, over all protocols")
	fs.Uint64Var(&l.Seed, "seed", 1, "of the clients' randomness")
	fs.StringVar(&o.protocols, "protocols", "all", "protocols, with commas between: "+strings.Join(lossbench.Names(lossbench.Protocols()), ", "))
	fs.StringVar(&o.urls, "url", "", "`URLs` for the protocol get, with commas between")
	fs.StringVar(&l.HealthAddr, "health", "", "`address` of a gRPC listener for the protocol health")
	fs.StringVar(&b.Probe, "probe", "", "`URL` whose answer begins with the id of the process (default /work of the http listener)")
	fs.StringVar(&o.json, "json", "", "`file` for the report as JSON")
	fs.StringVar(&o.output, "output", "", "`file` for what the command prints (default none; its end is shown when nothing could be measured)")
	fs.BoolVar(&o.expectZero, "expect-zero", true, "exit with 1 when anything was lost")
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	return fs
}

// run is the command: 0 when nothing was lost, 1 when something was or could not be measured, 2 when it was
// asked wrongly.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	fs := o.flags(stderr)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0 || o.target == "":
		fmt.Fprintln(stderr, "lossbench: want -target and no arguments; -h shows the flags")
		return 2
	}
	if err := o.measure(ctx, stdout); err != nil {
		fmt.Fprintln(stderr, "lossbench:", err)
		return 1
	}
	return 0
}

func (o *options) measure(ctx context.Context, stdout io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "lossbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := o.complete(dir); err != nil {
		return err
	}
	name := o.output
	if name == "" {
		name = filepath.Join(dir, "output")
	}
	if o.bench.Output, err = os.Create(name); err != nil {
		return err
	}
	defer o.bench.Output.Close()
	report, err := lossbench.Run(ctx, o.bench)
	if report == nil {
		return fmt.Errorf("%w%s", err, tail(name))
	}
	if err := errors.Join(err, report.WriteTable(stdout), o.writeJSON(report)); err != nil {
		return err
	}
	if err := report.Clean(); err != nil && o.expectZero {
		if report.Reloads.Failure != "" {
			return fmt.Errorf("%w%s", err, tail(name))
		}
		return err
	}
	return nil
}

// complete makes of the flags what is to be run. dir takes the files that the command needs.
func (o *options) complete(dir string) error {
	b := &o.bench
	b.Mode = lossbench.Mode(o.mode)
	b.Command = strings.Fields(o.target)
	b.Load.URLs = list(o.urls)
	if o.protocols != "all" {
		b.Load.Protocols = list(o.protocols)
	}
	listeners := list(o.listen)
	addrs, err := port.Addrs(len(listeners))
	if err != nil {
		return err
	}
	for i, listener := range listeners {
		b.Command = append(b.Command, "-"+listener+".addr="+addrs[i])
		switch listener {
		case "http":
			b.Load.HTTP = addrs[i]
			if b.Probe == "" {
				b.Probe = "http://" + addrs[i] + "/work?ms=0"
			}
		case "grpc":
			b.Load.GRPC = addrs[i]
		case "https":
			b.Load.HTTPS = addrs[i]
			cert, key, err := lossbench.WriteCertificate(dir)
			if err != nil {
				return err
			}
			b.Command = append(b.Command, "-https.tls.cert="+cert, "-https.tls.key="+key)
		default:
			return fmt.Errorf("-listen: want http, https and grpc, got %q", listener)
		}
	}
	if b.Fault != "" {
		b.FaultFile = filepath.Join(dir, "fault")
		b.Command = append(b.Command, "-fault_file="+b.FaultFile)
	}
	if b.Mode == lossbench.PIDFile {
		b.PIDFile = filepath.Join(dir, "pid")
		b.Command = append(b.Command, "-pid-file="+b.PIDFile)
	}
	return nil
}

// list splits at commas; the empty text has no parts.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (o *options) writeJSON(r *lossbench.Report) (err error) {
	if o.json == "" {
		return nil
	}
	f, err := os.Create(o.json)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return r.WriteJSON(f)
}

// tailLines is how much of the command's output is shown when it does not do what it should.
const tailLines = 10

// tail is the end of a file, indented under an error.
func tail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil || len(text) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "; it printed last:\n\t" + strings.Join(lines, "\n\t")
}
