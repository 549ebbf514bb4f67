//go:build !unix

package reload

import (
	"context"
	"errors"
)

// Command is what a supervisor can be asked to do.
type Command string

// The commands.
const (
	CommandReload Command = "reload"
	CommandStop   Command = "stop"
	CommandStatus Command = "status"
)

// Directory is where the run directory would be.
func Directory(string, func(string) string) string { return "" }

// Ask fails: there is no supervisor on this system.
func Ask(context.Context, string, Command) (*Outcome, *Status, error) {
	return nil, nil, errors.New("this system has no supervisor: the service runs in one process")
}
