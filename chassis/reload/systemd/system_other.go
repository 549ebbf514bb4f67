//go:build !linux

package systemd

import (
	"errors"
	"time"
)

// supported is false where there is no systemd: no Notifier is then enabled and no descriptor is
// looked for, so that the functions below are there for the compiler alone.
const supported = false

func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }

func sendmsg(int, string, []int) (bool, error) { return true, errors.ErrUnsupported }

func closeOnExec(int) error { return errors.ErrUnsupported }
