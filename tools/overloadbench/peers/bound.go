package main

import (
	"errors"
	"fmt"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/zeromicro/go-zero/core/load"
	"github.com/zeromicro/go-zero/core/logx"
)

// errRefused is the end of work that was not let in.
var errRefused = errors.New("too much work")

// bounds is what lets work in, or not.
func bounds(stack string) (func(work func() error) error, error) {
	switch stack {
	case "bare":
		return func(work func() error) error { return work() }, nil
	case "failsafe":
		// By its defaults, with which it did best in virtual time: it lets in what its limit allows, and has no queue.
		limiter := adaptivelimiter.NewWithDefaults[any]()
		return func(work func() error) error {
			permit, ok := limiter.TryAcquirePermit()
			if !ok {
				return errRefused
			}
			if err := work(); err != nil {
				permit.Drop()
				return err
			}
			permit.Record()
			return nil
		}, nil
	case "gozero":
		logx.Disable()
		return shedding(load.NewAdaptiveShedder()), nil
	case "gozero-eager":
		// The lowest threshold has it go by what passes and how long that takes whatever the processor does.
		logx.Disable()
		return shedding(load.NewAdaptiveShedder(load.WithCpuThreshold(0))), nil
	}
	return nil, fmt.Errorf("no stack %q: want bare, failsafe, gozero or gozero-eager", stack)
}

func shedding(shedder load.Shedder) func(work func() error) error {
	return func(work func() error) error {
		promise, err := shedder.Allow()
		if err != nil {
			return errRefused
		}
		if err := work(); err != nil {
			promise.Fail()
			return err
		}
		promise.Pass()
		return nil
	}
}
