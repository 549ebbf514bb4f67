package fake

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

// Main runs a network fake of spec as a program and exits the process. It is the whole main
// function of a service's fake. See [Run] for flags, output and exit codes; SIGTERM and
// SIGINT stop it too.
func Main[C any](spec chassis.Spec[C], o Options[C]) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(Run(ctx, spec, o, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run is Main without a process: it runs a network fake of spec until ctx ends or stdin
// closes, and returns the exit code: 0 after that, 1 when the service or the fake failed, 2
// for wrong flags (args do not begin with the program's name).
//
//	-port N              port of the listener "http"; others get free ones
//	-listen NAME=ADDR    address of any listener, host:port on loopback; may be repeated
//	-control ADDR        address of the control plane, 127.0.0.1:0 by default
//	-clock virtual|real  real lets the service's time pass by itself
//	-stay                go on when standard input closes
//	-log                 write the service's log to standard error
//
// When the fake is ready one line of JSON is written to stdout, with the addresses of its
// listeners and of its control plane; then nothing more. Everything listens on loopback, and
// other addresses are refused. Run keeps a goroutine that reads stdin, until stdin closes.
func Run[C any](ctx context.Context, spec chassis.Spec[C], o Options[C], args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	program := spec.Name + "fake"
	fail := func(code int, err error) int {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return code
	}
	fl, err := parseFlags(program, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "%s: a network fake of %s\n\nusage: %s [flags]\n", program, spec.Name, program)
		fl.set.SetOutput(stdout)
		fl.set.PrintDefaults()
		return 0
	case err != nil:
		return fail(2, fmt.Errorf("%w; %s -h shows the flags", err, program))
	}
	o.Ports = maps.Clone(o.Ports)
	if o.Ports == nil {
		o.Ports = map[string]int{}
	}
	maps.Copy(o.Ports, fl.ports)
	if fl.clock == "real" {
		o.RealTime = true
	}
	if fl.log {
		enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		o.Log = zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(stderr)), zapcore.InfoLevel))
	}
	if err := serve(ctx, spec, o, fl, stdin, stdout); err != nil {
		return fail(1, err)
	}
	return 0
}

// ready is the line that tells whoever started the fake where it is.
type ready struct {
	Ready     bool              `json:"ready"`
	Service   string            `json:"service"`
	Listeners map[string]string `json:"listeners"`
	Control   string            `json:"control"`
	PID       int               `json:"pid"`
}

// serve runs the fake and its control plane until one of the ends comes.
func serve[C any](ctx context.Context, spec chassis.Spec[C], o Options[C], fl *flags, stdin io.Reader, stdout io.Writer) (err error) {
	f, err := New(ctx, spec, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Stop()) }()
	p := control.Program{
		Control: f.Control(), Addr: fl.control, Done: f.Done(), Stdout: stdout, Stdin: stdin,
		Ready: func(addr string) any { return ready{true, f.name, f.Listeners(), addr, os.Getpid()} },
	}
	if fl.stay {
		p.Stdin = nil
	}
	return p.Run(ctx)
}

// flags are those of a fake's program.
type flags struct {
	set     *flag.FlagSet
	ports   map[string]int
	control string
	clock   string
	stay    bool
	log     bool
}

func parseFlags(program string, args []string) (*flags, error) {
	fl := &flags{set: flag.NewFlagSet(program, flag.ContinueOnError), ports: map[string]int{}, control: "127.0.0.1:0", clock: "virtual"}
	fs := fl.set
	fs.SetOutput(io.Discard)
	fs.Func("port", "`port` of the listener \"http\" on 127.0.0.1; 0 is any free one, as others get", func(s string) error {
		n, err := control.Port(s)
		if err == nil && n > 0 {
			fl.ports["http"] = n
		}
		return err
	})
	fs.Func("listen", "`name=host:port` of any listener, on loopback; may be repeated", func(s string) error {
		name, addr, found := strings.Cut(s, "=")
		if !found || name == "" {
			return errors.New("want name=host:port, such as grpc=127.0.0.1:9090")
		}
		n, err := control.Loopback(addr)
		if err == nil {
			fl.ports[name] = n
		}
		return err
	})
	fs.Func("control", "`host:port` of the control plane, on loopback (default 127.0.0.1:0)", func(s string) error {
		n, err := control.Loopback(s)
		fl.control = net.JoinHostPort("127.0.0.1", strconv.Itoa(n))
		return err
	})
	fs.Func("clock", "`virtual` time stands still until it is advanced; real passes by itself (default virtual)", func(s string) error {
		if !slices.Contains([]string{"virtual", "real"}, s) {
			return errors.New("want virtual or real")
		}
		fl.clock = s
		return nil
	})
	fs.BoolVar(&fl.stay, "stay", false, "go on when standard input closes")
	fs.BoolVar(&fl.log, "log", false, "write the service's log to standard error")
	if err := fs.Parse(args); err != nil {
		return fl, err
	}
	if fs.NArg() > 0 {
		return fl, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return fl, nil
}
