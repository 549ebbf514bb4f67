package faketest

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-754044b3/roadworthy/fake"
)

// everyCode has each failure code that the service declares answered at each door, exactly as declared.
func everyCode(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		return atDoors(f, func(d *door, c *client) error {
			var errs []error
			for _, code := range f.Description().Failures {
				fault := f.FailNext(1, fake.Code(code.Number), fake.On(d.route))
				got, err := c.knock(ctx, d.route, nil).fault()
				if err == nil {
					err = got.differs(code)
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("code %d at %s of listener %q: %w", code.Number, d.route, d.listener, err))
				}
				fault.Remove()
			}
			return errors.Join(errs...)
		})
	})
}
