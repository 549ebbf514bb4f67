//go:build unix

package chassis

import (
	"context"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap/exp/zapslog"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// takeRole has this process be what its environment says, which a supervisor sets: a worker, whose
// world it fills in, or the supervisor itself. ended says that the process has done what it was
// for, and is to exit with code.
func (p *process) takeRole(world *World) (code int, ended bool) {
	var err error
	switch reload.RoleOf(os.Getenv) {
	case reload.RoleCheck:
		reload.Check(os.Stdout)
		return 0, true
	case reload.RoleSupervisor:
		code, err = reload.Resume(p.options("", false))
		return p.failed(code, err), true
	case reload.RoleWorker:
		var link *reload.Link
		if link, err = reload.Connect(); err != nil {
			return p.failed(1, err), true
		}
		// The terminal's hangup and the supervisor's signals are not for workers. Ignoring them
		// would have the worker's children ignore them.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGUSR2)
		world.host = link
		world.Listen = link.Listen
		p.env = reload.Clean(p.env)
		return 0, false
	}
	p.supervise = func(dir string, named bool) (int, error) {
		return reload.Supervise(p.options(dir, named))
	}
	return 0, false
}

func (p *process) failed(code int, err error) int {
	if err != nil {
		_, _ = os.Stderr.WriteString(p.program + ": " + err.Error() + "\n")
	}
	return code
}

// options are those of the supervisor. Its log looks like that of its workers as far as it can:
// it reads no configuration.
func (p *process) options(dir string, named bool) reload.Options {
	log := newLogger(LogConfig{Level: "info", Format: "auto"}, os.Stderr, os.Stderr)
	return reload.Options{
		Program: p.program, Args: os.Args, Environ: reload.Clean(p.env), Directory: dir, Named: named,
		Listen: func(network, address string) (net.Listener, error) {
			return listenSocket(context.Background(), "", network, address)
		},
		Log:   slog.New(zapslog.NewHandler(log.Core(), zapslog.WithName(p.program+".supervisor"), zapslog.AddStacktraceAt(math.MaxInt))),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
}
