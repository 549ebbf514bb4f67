//go:build unix && !linux

package reload

import (
	"errors"
	"os"
)

// stateFile holds b in a file whose name is gone.
func stateFile(b []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "supervisor-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return fill(f, b)
}
