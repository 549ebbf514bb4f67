package systemd

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	firstDescriptor = 3 // SD_LISTEN_FDS_START
	mostDescriptors = 1024
	largestPID      = math.MaxInt32
)

// Socket is a descriptor that the service manager handed in. It need not be a socket: a unit may
// have named pipes and files opened, and [Notifier.Store] takes any descriptor.
type Socket struct {
	// Name is FileDescriptorName= of the .socket unit, by default the unit's own name, or the name
	// under which the descriptor was stored. It is empty when nothing was said, for which systemd
	// writes "unknown". Several may have the same.
	Name string

	// File belongs to the caller of [Sockets], who closes it.
	File *os.File
}

// Sockets takes over the descriptors that LISTEN_FDS counts from 3 on, named by LISTEN_FDNAMES, and
// makes each close-on-exec. The environment stays as it is; see [Clean].
//
// The result is nil when nothing was handed in, when LISTEN_PID is another process, for which they
// were meant, and elsewhere than on Linux. Errors are a number that is none, more than 1,024
// descriptors, one that is not open, and a count of names other than that of descriptors, which
// sd_listen_fds_with_names(3) refuses too; no descriptor is taken over then.
//
// Call it once, and before anything else in the process: a second call would give out the same
// descriptors again, and each result would close the other's.
func Sockets(getenv func(string) string) ([]Socket, error) {
	return socketsFrom(firstDescriptor, getenv)
}

// socketsFrom is Sockets with the first descriptor's number, which a test cannot choose: 3 and on
// are taken in a running Go program.
func socketsFrom(first int, getenv func(string) string) ([]Socket, error) {
	if !supported || getenv("LISTEN_PID") == "" || getenv("LISTEN_FDS") == "" {
		return nil, nil
	}
	pid, err := number(getenv, "LISTEN_PID", largestPID)
	if err != nil || pid != int64(os.Getpid()) {
		return nil, err
	}
	count, err := number(getenv, "LISTEN_FDS", mostDescriptors)
	if err != nil {
		return nil, err
	}
	names := make([]string, count)
	if list := getenv("LISTEN_FDNAMES"); list != "" {
		names = strings.Split(list, ":")
	}
	if len(names) != int(count) {
		return nil, fmt.Errorf("LISTEN_FDNAMES=%q: %d names for LISTEN_FDS=%d descriptors", getenv("LISTEN_FDNAMES"), len(names), count)
	}
	// All of them before the first file is made: one that is not used closes its descriptor when it
	// is collected.
	for i := range names {
		if err := closeOnExec(first + i); err != nil {
			return nil, fmt.Errorf("LISTEN_FDS=%d: set close-on-exec on descriptor %d: %w", count, first+i, err)
		}
	}
	sockets := make([]Socket, count)
	for i, name := range names {
		label := name
		if name == "" || name == "unknown" {
			name, label = "", "LISTEN_FDS descriptor "+strconv.Itoa(first+i)
		}
		sockets[i] = Socket{Name: name, File: os.NewFile(uintptr(first+i), label)}
	}
	return sockets, nil
}

// variables are what systemd says to one process, and no child of it should hear.
var variables = []string{
	"NOTIFY_SOCKET",
	"WATCHDOG_PID", "WATCHDOG_USEC",
	"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES",
}

// Clean is the environment for child processes: a copy of environ, which is as from [os.Environ],
// without NOTIFY_SOCKET and systemd's own WATCHDOG_ and LISTEN_ variables. Others stay, such as a
// LISTEN_ADDR that is the service's configuration.
func Clean(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(variables, name)
	})
}

// number reads a variable that holds a number from 1 to most.
func number(getenv func(string) string, name string, most int64) (int64, error) {
	text := getenv(name)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s=%q: must be a number from 1 to %d", name, text, most)
	}
	return n, nil
}
