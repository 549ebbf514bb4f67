package target

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// dieAfter is how long a service with the fault "die" answers.
const dieAfter = 500 * time.Millisecond

// suffer does what fault says about Setup and the time after it.
func suffer(ctx context.Context, s *chassis.Service, fault string) error {
	switch fault {
	case "panic":
		panic("fault: panic in Setup")
	case "crash":
		go func() { panic("fault: panic beside Setup") }()
		<-ctx.Done()
		return ctx.Err()
	case "error":
		return errors.New("fault: Setup fails")
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "die":
		s.Go("die", func(ctx context.Context) error {
			if clock.Sleep(ctx, s.Clock(), dieAfter) == nil {
				os.Exit(1)
			}
			return nil
		})
	}
	return nil
}

// deaf takes ms milliseconds, an hour without, whatever becomes of its caller and the service.
func (srv *server) deaf(w http.ResponseWriter, r *http.Request) error {
	d, err := forced(r, time.Hour)
	if err != nil {
		return err
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	return clock.Sleep(context.WithoutCancel(r.Context()), srv.clock, d)
}
