package reload

import "net"

// Counter makes and merges snapshots of what a worker has counted.
type Counter struct {
	// Snapshot returns what this worker has counted so far.
	Snapshot func() ([]byte, error)
	// Carry merges the snapshots of ended workers into one.
	Carry func([]Snapshot) ([]byte, error)
}

// AdoptFunc serves a connection that a predecessor hands over, on the listener called name, and
// returns nil once that is sure. Immediately before the first byte is read it calls taken, once:
// from then on the connection is this worker's, and an error means that it is still the
// predecessor's and to be closed unread. note is what the predecessor knows of the connection, as
// it was given to [Link.Give]. It may be called concurrently.
type AdoptFunc func(name string, c net.Conn, note []byte, taken func() error) error

// Order tells a worker to drain.
type Order struct {
	Stop bool // the service stops: there is no successor
}
