package sentryfake

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

const (
	service = "sentry"
	program = "sentryfake"
)

// Main runs the fake as a program and exits the process. See [Run] for flags, output and exit codes;
// SIGTERM and SIGINT stop it too.
func Main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run is Main without a process: it runs a fake until ctx ends or stdin closes, and returns the exit
// code: 0 after that, 1 when the fake failed, 2 for wrong flags (args do not begin with the program's
// name).
//
//	-port N        port of the Sentry; 0, the default, is any free one
//	-control ADDR  address of the control plane, 127.0.0.1:0 by default
//	-tls           speak HTTPS, with a certificate that the ready line has
//	-stay          go on when standard input closes
//
// When the fake is ready one line of JSON is written to stdout, with its DSN and the addresses of its
// listener and of its control plane; then nothing more. Everything listens on loopback, and other
// addresses are refused. Run keeps a goroutine that reads stdin, until stdin closes.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return code
	}
	fl, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "%s: a network fake of Sentry\n\nusage: %s [flags]\n", program, program)
		fl.set.SetOutput(stdout)
		fl.set.PrintDefaults()
		return 0
	case err != nil:
		return fail(2, fmt.Errorf("%w; %s -h shows the flags", err, program))
	}
	if err := fl.serve(ctx, stdin, stdout); err != nil {
		return fail(1, err)
	}
	return 0
}

// ready is the line that tells whoever started the fake where it is.
type ready struct {
	Ready       bool              `json:"ready"`
	Service     string            `json:"service"`
	Listeners   map[string]string `json:"listeners"`
	DSN         string            `json:"dsn"`
	Certificate string            `json:"certificate,omitempty"` // PEM
	Control     string            `json:"control"`
	PID         int               `json:"pid"`
}

// serve runs the fake and its control plane until one of the ends comes.
func (fl *flags) serve(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	f, err := New(fl.options)
	if err != nil {
		return err
	}
	defer f.Close()
	line := ready{true, service, map[string]string{"http": f.Addr()}, f.DSN(), "", "", os.Getpid()}
	if fl.options.TLS {
		line.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate()}))
	}
	p := control.Program{
		Control: f.Control(), Addr: fl.control, Stdout: stdout, Stdin: stdin,
		Ready: func(addr string) any { line.Control = addr; return line },
	}
	if fl.stay {
		p.Stdin = nil
	}
	return p.Run(ctx)
}

// flags are those of the program.
type flags struct {
	set     *flag.FlagSet
	options Options
	control string
	stay    bool
}

func parseFlags(args []string) (*flags, error) {
	fl := &flags{set: flag.NewFlagSet(program, flag.ContinueOnError), control: "127.0.0.1:0"}
	fl.set.SetOutput(io.Discard)
	fl.set.Func("port", "`port` of the Sentry on 127.0.0.1; 0 is any free one (default 0)", func(s string) (err error) {
		fl.options.Port, err = control.Port(s)
		return err
	})
	fl.set.Func("control", "`host:port` of the control plane, on loopback (default 127.0.0.1:0)", func(s string) error {
		n, err := control.Loopback(s)
		fl.control = net.JoinHostPort("127.0.0.1", strconv.Itoa(n))
		return err
	})
	fl.set.BoolVar(&fl.options.TLS, "tls", false, "speak HTTPS, with a certificate that the ready line has")
	fl.set.BoolVar(&fl.stay, "stay", false, "go on when standard input closes")
	if err := fl.set.Parse(args); err != nil {
		return fl, err
	}
	if fl.set.NArg() > 0 {
		return fl, fmt.Errorf("unexpected argument %q", fl.set.Arg(0))
	}
	return fl, nil
}
