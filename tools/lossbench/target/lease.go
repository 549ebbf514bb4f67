package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// leasePeriod is the time between two lines that a holder of the lease appends.
const leasePeriod = 2 * time.Millisecond

// lease appends to a file what only one process of the service may append at a time.
type lease struct {
	path string
	file *os.File
	stop chan struct{}
	done chan error
}

// share has the processes of the service take turns in appending to the file at path.
func share(s *chassis.Service, path string) {
	l := &lease{path: path}
	s.Exclusive("lease", l.open, l.close)
}

func (l *lease) open(context.Context) error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	l.file, l.stop, l.done = f, make(chan struct{}), make(chan error, 1)
	go func() { l.done <- l.write() }()
	return nil
}

// write appends "<pid> open", "<pid> held" again and again, and "<pid> close".
func (l *lease) write() error {
	say := func(what string) error {
		_, err := fmt.Fprintf(l.file, "%d %s\n", os.Getpid(), what)
		return err
	}
	if err := say("open"); err != nil {
		return err
	}
	tick := time.NewTicker(leasePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := say("held"); err != nil {
				return err
			}
		case <-l.stop:
			return say("close")
		}
	}
}

func (l *lease) close(context.Context) error {
	close(l.stop)
	return errors.Join(<-l.done, l.file.Close())
}
