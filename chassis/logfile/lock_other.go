//go:build !unix

package logfile

import (
	"errors"
	"fmt"
	"os"
)

func lock(f *os.File) error {
	return fmt.Errorf("%s: segments of logs need flock, which this system does not have; name a plain file: %w", f.Name(), errors.ErrUnsupported)
}

func noSpace(error) bool { return false }
