package chassis

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/internal/heap"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// Main runs spec as a daemon and exits the process: 0 after a stop that was asked for, 1 when
// something failed, 2 when flags or arguments were wrong. It is the whole main function of a
// service.
//
// On unix systems the process becomes a supervisor, which keeps the listening sockets, and has the
// service run in a worker process of the same program. SIGHUP, or the command "reload", starts
// another worker, which reads binary, configuration and certificates anew; when it is ready it
// takes over without a request being lost, and when it is not, the old one goes on: package
// reload tells more. SIGTERM or SIGINT drains; a second one, 100 ms later or more, exits at once,
// with 1. With the flag -inprocess, and on other systems, the service runs in this process.
//
// Main owns the process: it also points log/slog and package log at the service's log,
// sets the memory limit to 90 % of the container's unless GOMEMLIMIT says otherwise, and keeps the
// garbage collector from running before the heap has [Settings].HeapFloor, unless GOGC says when.
func Main[C any](spec Spec[C]) {
	world := World{Stdout: os.Stdout, Stderr: os.Stderr}
	p := process{program: spec.Name + "d", args: os.Args[1:], env: os.Environ(), own: ownProcess, life: stopSignals}
	code, ended := p.takeRole(&world)
	if !ended {
		code = daemon(spec, world, p)
	}
	os.Exit(code)
}

// stopSignals returns a context that ends with the first SIGTERM or SIGINT, and exits with the
// second.
func stopSignals(program string) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		cancel()
		for first := time.Now(); time.Since(first) < sameSignal; {
			<-signals
		}
		fmt.Fprintf(os.Stderr, "%s: second signal: exiting without draining\n", program)
		os.Exit(1)
	}()
	return ctx
}

// sameSignal is how long a signal may repeat without being a second one: timeout(1) signals its
// child and then the child's group.
const sameSignal = 100 * time.Millisecond

// Run is Main without a process: it runs spec with the given arguments (without the program's
// name) and environment ("KEY=value") until ctx ends, and returns the exit code. There is no
// supervisor.
func Run[C any](ctx context.Context, spec Spec[C], args, env []string, stdout, stderr io.Writer) int {
	return daemon(spec, World{Stdout: stdout, Stderr: stderr}, process{
		program: spec.Name + "d", args: args, env: env, own: func(*Service) {}, life: func(string) context.Context { return ctx },
	})
}

// process is what a daemon is started with.
type process struct {
	program   string
	args, env []string
	own       func(*Service) // told of the service before anything of it runs
	// life returns the context in which program runs, if it does not run as a supervisor.
	life func(program string) context.Context
	// supervise has the service run in workers; nil where it runs in this process. named says that
	// somebody asked for the run directory dir.
	supervise func(dir string, named bool) (int, error)
}

// ownProcess changes what there is once in a process.
func ownProcess(s *Service) {
	slog.SetDefault(s.Slog(s.base))
	zap.RedirectStdLog(s.log)
	if limit, err := memlimit.Set(); err == nil && limit < math.MaxInt64 {
		// Not more than debug: a start-up that fails is to print one line.
		s.log.Debug("memory limit of the process", zap.Int64("bytes", limit))
	}
	if floor := s.settings.HeapFloor; os.Getenv("GOGC") == "" {
		heap.Keep(int64(floor))
	}
}

// mainFlags are the flags of every daemon beside the keys of its configuration.
type mainFlags struct {
	config, runDir                             string
	check, print, describe, version, inProcess bool
}

func (f *mainFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&f.config, "config", "", "YAML `file` to read")
	fs.BoolVar(&f.check, "check", false, "say whether the configuration is good, and exit")
	fs.BoolVar(&f.print, "print-config", false, "print the configuration in effect and where it comes from, and exit")
	fs.BoolVar(&f.describe, "describe", false, "print as JSON what the service is made of, and exit")
	fs.BoolVar(&f.version, "version", false, "print the version, and exit")
	fs.StringVar(&f.runDir, "run-dir", "", "`directory` by which supervisor, workers and commands find each other")
	fs.BoolVar(&f.inProcess, "inprocess", false, "run without a supervisor: no reload")
}

// meant is what stands behind the error about a flag that nobody has: which one was probably meant, if there is one like it.
func meant(fs *flag.FlagSet, err error) string {
	// Package flag has no type for this error; with other words than these there is no guess.
	if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
		if near := config.NearestFlag(fs, name); near != "" {
			return "did you mean -" + near + "? "
		}
	}
	return ""
}

// asks is the flag, if any, that asks for something else than to serve.
func (f *mainFlags) asks() string {
	switch {
	case f.print:
		return "-print-config"
	case f.check:
		return "-check"
	case f.describe:
		return "-describe"
	}
	return ""
}

func daemon[C any](spec Spec[C], world World, p process) int {
	stdout, program := world.Stdout, p.program
	fail := func(code int, err error) int {
		if world.host != nil {
			_ = world.host.Failed(reload.ReasonConfig, err) // unless another reason was given before
		}
		fmt.Fprintf(world.Stderr, "%s: %v\n", program, err)
		return code
	}
	var settings Settings
	cfg := spec.Defaults
	set, err := newConfig(&spec, &settings, &cfg)
	if err != nil {
		return fail(2, err)
	}
	var f mainFlags
	fs := flag.NewFlagSet(program, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	f.add(fs)
	if err := set.Flags(fs); err != nil {
		return fail(2, err)
	}
	switch err := fs.Parse(p.args); {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout, program, spec, set)
		return 0
	case err != nil:
		return fail(2, fmt.Errorf("%w; %s%s -h shows the flags", err, meant(fs, err), program))
	case f.version:
		fmt.Fprintf(stdout, "%s %s %s\n", program, Version(), goVersion())
		return 0
	}
	if own := ownCommandOf(fs.Args()); own != nil && f.asks() == "" {
		dir, _ := p.runDirectory(f.runDir)
		if err := own.run(p.life(program), program, dir, fs.Args()[1:], stdout); err != nil {
			return fail(1, fmt.Errorf("%s: %w", own.name, err))
		}
		return 0
	}
	command, err := commandOf(spec, fs.Args(), f.asks())
	if err != nil {
		return fail(2, err)
	}
	if p.supervise != nil && command == nil && f.asks() == "" && !f.inProcess {
		code, err := p.supervise(p.runDirectory(f.runDir))
		if err != nil {
			return fail(code, err)
		}
		return code
	}
	ctx := p.life(program)
	if err := set.Load(config.Sources{File: f.config, Env: p.env}); err != nil {
		return fail(1, err)
	}
	for _, w := range set.Warnings() {
		fmt.Fprintf(world.Stderr, "%s: %s\n", program, w)
	}
	switch {
	case f.print:
		err = set.Print(stdout)
	case f.check, f.describe:
		err = dryRun(ctx, spec, settings, cfg, set, f.describe, stdout)
	case command != nil:
		if err = command.Run(ctx, cfg, fs.Args()[1:], stdout); err != nil {
			err = fmt.Errorf("%s: %w", command.Name, err)
		}
	default:
		err = serve(ctx, spec, settings, cfg, set, world, p.own)
	}
	if err != nil {
		return fail(1, err)
	}
	return 0
}

// serve runs the service until ctx ends or the service does.
func serve[C any](ctx context.Context, spec Spec[C], settings Settings, cfg C, set *config.Set, world World, own func(*Service)) error {
	i, err := start(ctx, spec, settings, cfg, set, world, own)
	if wary.Is(err, errAbandoned) {
		return nil // it was asked to stop, and has
	}
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-i.Done():
	}
	return i.Stop(context.Background())
}

// newConfig makes one key space of the chassis's settings and the service's own configuration,
// with the chassis's defaults filled in.
func newConfig[C any](spec *Spec[C], settings *Settings, cfg *C) (*config.Set, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	setDefaults(settings)
	setDefaults(cfg)
	set, err := config.New(spec.Name, settings, cfg)
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", spec.Name, err)
	}
	return set, nil
}

// commandOf is the command that the arguments name, nil without arguments. asked is the flag
// that asks for something else.
func commandOf[C any](spec Spec[C], args []string, asked string) (*Command[C], error) {
	if len(args) == 0 {
		return nil, nil
	}
	if asked != "" {
		return nil, fmt.Errorf("%s takes no command, got %q", asked, args[0])
	}
	i := slices.IndexFunc(spec.Commands, func(c Command[C]) bool { return c.Name == args[0] })
	if i < 0 {
		return nil, fmt.Errorf("unknown command %q; %sd -h shows what there is", args[0], spec.Name)
	}
	return &spec.Commands[i], nil
}

// dryRun runs Setup without touching anything and says what came of it.
func dryRun[C any](ctx context.Context, spec Spec[C], settings Settings, cfg C, set *config.Set, describe bool, stdout io.Writer) error {
	i, err := start(ctx, spec, settings, cfg, set, World{Dry: true, Log: zap.NewNop()}, func(*Service) {})
	if err != nil {
		return err
	}
	d, err := i.service.Description()
	if err := errors.Join(err, i.Stop(ctx)); err != nil {
		return err
	}
	if !describe {
		_, err := fmt.Fprintln(stdout, "configuration ok")
		return err
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(d)
}

// usage is what -h prints.
func usage[C any](w io.Writer, program string, spec Spec[C], set *config.Set) {
	if spec.Doc != "" {
		fmt.Fprintf(w, "%s: %s\n\n", program, spec.Doc)
	}
	fmt.Fprintf(w, "usage: %s [flags]\n", program)
	for _, c := range spec.Commands {
		fmt.Fprintf(w, "       %-40s %s\n", program+" [flags] "+c.Name+" "+c.Args, c.Doc)
	}
	for _, c := range ownCommands {
		fmt.Fprintf(w, "       %-40s %s\n", program+" [flags] "+c.name, c.doc)
	}
	fmt.Fprint(w, `
  -config FILE     read this YAML file
  -check           say whether the configuration is good, and exit
  -print-config    print the configuration in effect and where each value comes from, and exit
  -describe        print as JSON what the service is made of, and exit
  -version         print the version, and exit
  -run-dir DIR     by which supervisor, workers and the commands above find each other
  -inprocess       run without a supervisor, as under a debugger: there is no reload then

Configuration, the later winning: defaults, the file of -config, environment, flags.

`)
	_ = set.Usage(w)
}
