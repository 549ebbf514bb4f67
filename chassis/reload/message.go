package reload

import "time"

// protocol is the version of what supervisor and worker say to each other. A supervisor that finds
// a newer one in a worker of a new binary replaces itself by that binary.
const protocol = 1

// kind says what a message is about.
type kind string

// What a worker tells or asks its supervisor.
const (
	kindHello    kind = "hello"    // who it is, with its limits; after a takeover also what it serves, with its listeners
	kindListen   kind = "listen"   // asks for a listener; answered with the same ID
	kindReady    kind = "ready"    // asks for the commit
	kindFailed   kind = "failed"   // why it will exit without having been ready
	kindHeir     kind = "heir"     // asks for a successor to hand connections to
	kindStatus   kind = "status"   // asks what the supervisor knows; answered
	kindGather   kind = "gather"   // deposits its snapshot and asks for those of the others; answered
	kindRelease  kind = "release"  // asks that the listeners be closed, as the service stops; answered
	kindSnapshot kind = "snapshot" // deposits its snapshot; with an ID its last one, which is answered
	kindCarry    kind = "carry"    // what the snapshots of ended workers come to
)

// What a supervisor tells or asks its workers; kindHeir, kindSnapshot and kindCarry as well, which
// are then a successor and questions.
const (
	kindAnswer kind = "answer" // to the question of that ID
	kindCommit kind = "commit" // serve; with a channel on which a predecessor hands over connections
	kindDrain  kind = "drain"  // end; with a channel to the successor when there is one
	kindAdopt  kind = "adopt"  // take connections over from one more predecessor, by the channel beside
	kindHurry  kind = "hurry"  // end at once
)

// What a worker and its successor tell each other.
const (
	kindConn    kind = "conn"    // a connection, beside
	kindTaken   kind = "taken"   // the connection of that ID is served now
	kindRefused kind = "refused" // it is not
)

// message is everything that is said; each kind uses the fields that it needs.
type message struct {
	Kind kind   `json:"kind"`
	ID   uint64 `json:"id,omitempty"` // of a question, repeated in its answer

	Name    string `json:"name,omitempty"` // of a listener
	Network string `json:"network,omitempty"`
	Address string `json:"address,omitempty"`
	Error   string `json:"error,omitempty"`
	Errno   int    `json:"errno,omitempty"` // of the operating system, when the error is one of its
	Reason  Reason `json:"reason,omitempty"`
	Stop    bool   `json:"stop,omitempty"` // drain because the service stops
	Note    []byte `json:"note"`           // of a connection; null is not the same as empty

	PID       int        `json:"pid,omitempty"` // of the worker, as it sees itself
	Hello     *hello     `json:"hello,omitempty"`
	Snapshot  []byte     `json:"snapshot,omitempty"`
	Snapshots []Snapshot `json:"snapshots,omitempty"`
	Status    *Status    `json:"status,omitempty"`
}

// hello is how a worker introduces itself.
type hello struct {
	Protocol int          `json:"protocol"`
	Worker   int          `json:"worker"`
	Phase    Phase        `json:"phase"`
	Started  time.Time    `json:"started"`
	Version  string       `json:"version"` // of the program
	Limits   Limits       `json:"limits"`
	Sockets  []socketName `json:"sockets,omitempty"` // of the descriptors beside, in their order
	Carry    *Snapshot    `json:"carry,omitempty"`   // of ended workers, as the worker last saw it
}

// Limits are the bounds in time that a worker lives under; it reads them from its configuration and
// tells its supervisor.
type Limits struct {
	// Start is how long a new worker may take until it is ready.
	Start time.Duration `json:"start"`
	// Drain is how long a worker may take to drain. A grace later it is killed.
	Drain time.Duration `json:"drain"`
	// Stop is how long it may take when the service stops; longer by how long it goes on accepting
	// then. 0 is Drain.
	Stop time.Duration `json:"stop"`
	// Draining is how many workers may be draining at a time; a reload waits until one has left.
	Draining int `json:"draining"`
}

// Phase is where a worker stands in its life.
type Phase string

// The phases of a worker.
const (
	Starting Phase = "starting" // not ready yet
	Active   Phase = "active"   // the one that serves
	Draining Phase = "draining" // finishing what it began
)

// Reason says, in a word that can be a label of a metric, why a reload failed.
type Reason string

// Why a reload fails.
const (
	ReasonExec     Reason = "exec"     // the binary could not be executed
	ReasonConfig   Reason = "config"   // the configuration could not be read
	ReasonSetup    Reason = "setup"    // the service could not be set up
	ReasonCrash    Reason = "crash"    // the worker ended before it was ready and did not say why
	ReasonTimeout  Reason = "timeout"  // the worker was not ready in time
	ReasonStopping Reason = "stopping" // the service stops
)

// Reasons lists every Reason, so that metrics can show those that have not happened.
var Reasons = [...]Reason{ReasonExec, ReasonConfig, ReasonSetup, ReasonCrash, ReasonTimeout, ReasonStopping}

// Snapshot is what one worker has counted, or several that have ended, in bytes that only workers
// understand.
type Snapshot struct {
	Worker int    `json:"worker"` // of several, the newest
	Living bool   `json:"living"`
	Data   []byte `json:"data"`
	Of     int    `json:"of,omitempty"` // how many workers, when it is of several; 0 is one
}

// newer reports whether s was made after o of what ended workers have counted: each time it is of
// more of them. That of the newest worker may be older, since workers end in any order.
func (s *Snapshot) newer(o *Snapshot) bool {
	return o == nil || s.Of > o.Of || s.Of == o.Of && s.Worker > o.Worker
}

// ofAll is data as the snapshot of all who are in ended.
func ofAll(ended []Snapshot, data []byte) *Snapshot {
	all := &Snapshot{Data: data}
	for _, o := range ended {
		all.Worker = max(all.Worker, o.Worker)
		all.Of += max(o.Of, 1)
	}
	return all
}

// Status is what a supervisor knows.
type Status struct {
	Supervisor int            `json:"supervisor"` // process id
	Started    time.Time      `json:"started"`
	Binary     string         `json:"binary"`
	Directory  string         `json:"directory,omitempty"`
	Workers    []WorkerStatus `json:"workers"`
	Sockets    []SocketStatus `json:"sockets"`
	Last       *Outcome       `json:"last_reload,omitempty"`
	Counts     Counts         `json:"counts"`
}

// WorkerStatus is one living worker.
type WorkerStatus struct {
	Worker  int       `json:"worker"`
	PID     int       `json:"pid"`
	Phase   Phase     `json:"phase"`
	Since   time.Time `json:"since"` // when it entered the phase
	Started time.Time `json:"started"`
	Version string    `json:"version,omitempty"`
}

// SocketStatus is one listening socket.
type SocketStatus struct {
	Name    string `json:"name"`
	Network string `json:"network"`
	Address string `json:"address"` // as configured
}

// Outcome is how a reload went.
type Outcome struct {
	Time   time.Time     `json:"time"`
	Worker int           `json:"worker"`
	PID    int           `json:"pid"`
	Took   time.Duration `json:"took"` // from when the worker was started
	Reason Reason        `json:"reason,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// Counts is how often things have happened since the supervisor was first started.
type Counts struct {
	Reloads   uint64            `json:"reloads"`
	Failed    map[Reason]uint64 `json:"failed"`
	Crashes   uint64            `json:"crashes"`   // of workers that were active
	Killed    uint64            `json:"killed"`    // workers that did not end in time
	Rollbacks uint64            `json:"rollbacks"` // to the binary before, after crashes
	Upgrades  uint64            `json:"upgrades"`  // of the supervisor itself
	Takeovers uint64            `json:"takeovers"` // of workers whose supervisor had died
}

// socketName identifies a listening socket: by its name, since the address may be changed while
// the service runs, or be that of any free port.
type socketName struct {
	Name    string `json:"name"`
	Network string `json:"network"` // tcp or unix
	Address string `json:"address"` // as configured
}
