package chassis

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// Spec describes a service. C is the service's own configuration: a struct whose fields are
// read from file, environment and flags as package config explains; the chassis adds
// [Settings], which every service has. A Spec is a value that does not change once a host
// runs it, and one Spec may run many times in one process.
type Spec[C any] struct {
	// Name is the service's name: lower-case letters, digits and hyphens. The daemon is
	// called by it with a "d" behind, environment variables begin with it in capitals.
	Name string
	// Doc says in one line what the service is for; -h shows it.
	Doc string
	// Defaults is the configuration before anything is read. Fields of the chassis's own
	// types that are left zero get the chassis's defaults.
	Defaults C
	// Failures are the service's failure codes, nil for none. The set is sealed when the
	// service starts.
	Failures *failure.Set
	// Event refuses what is no event of the service as its journal keeps it in a stream: an unknown
	// type, or data that cannot be read. It is asked of events that are about to be put into the
	// journal of a fake. nil leaves that to the service, which then starts with them, or does not.
	Event func(stream, kind string, data []byte) error
	// Setup builds the service on s. Returning nil is what makes it ready; an error ends it
	// with that error as its one line. ctx ends when start-up is abandoned; it must not be
	// kept. Setup then has drain.timeout to return. A worker that takes longer than
	// reload.start_timeout is killed.
	Setup func(ctx context.Context, s *Service, cfg C) error
	// Commands are what the daemon does instead of serving when its first argument names
	// one, such as "gamed backup FILE".
	Commands []Command[C]
}

// Command is a thing a daemon can be asked to do instead of serving.
type Command[C any] struct {
	Name string // the argument that selects it
	Args string // its arguments as -h shows them, such as "FILE"
	Doc  string // one line for -h
	// Run does it with the configuration as read, writes what a person wants to see to out,
	// and returns the error that makes the daemon exit non-zero.
	Run func(ctx context.Context, cfg C, args []string, out io.Writer) error
}

// World is everything outside the service that it can reach. The zero World is the real one;
// a network fake or a simulator fills in its own.
type World struct {
	// Listen binds the listener called name; nil binds a socket of the operating system.
	Listen func(ctx context.Context, name, network, address string) (net.Listener, error)
	// Inside is given each connection of the listener called name that speaks TLS, and returns what the
	// server speaks through in its place: what is written there is what TLS encrypts. It is called once
	// a connection, by [Service.HTTP] before the handshake and by package grpcserver after it, and must
	// not wait. The other end's address is that of the connection as Listen gave it. nil leaves
	// connections as they are.
	Inside func(name string, c net.Conn) net.Conn
	// Clock is the service's time; nil is the machine's clock.
	Clock clock.Clock
	// Rand is where the service's randomness comes from, safe for concurrent use; nil is
	// crypto/rand.
	Rand io.Reader
	// Intercept is asked before each handler runs, with the context and the bounds that the
	// handler would have. An error is answered in the handler's place, exactly as if the
	// handler had returned it. What it sets in call counts for the handler. nil asks nobody, and
	// costs nothing; a daemon has no other.
	Intercept func(ctx context.Context, call *Call) error
	// Stderr takes the application log, Stdout the access log when its path is "-"; nil is
	// the process's own.
	Stdout, Stderr io.Writer
	// Log takes the application log in place of Stderr; nil builds one from the settings.
	Log *zap.Logger
	// Divert has other instances of the service answer some of the requests that come in by this
	// one's sockets; nil has all answered here.
	Divert *Divert
	// Guest makes an instance that has no sockets of its own: what it answers comes by another one's
	// Divert. Its requests are counted with Guest's, it describes no configuration, and listeners that
	// speak a protocol of the service's own are not served. nil is no guest.
	Guest *Instance
	// OpenJournal has a hand in how journals are opened; see journal.Opener. nil has the engine
	// open them.
	OpenJournal func(ctx context.Context, e journal.Engine, r journal.Request) (journal.Journal, error)
	// Dry makes a start-up that changes nothing: no socket is bound, no file opened, no
	// background work started. It is how -check and -describe learn what Setup would do.
	Dry bool

	host host // of a worker that can be replaced; nil without
}

// Call is what is about to be handled, for World.Intercept. It is the interceptor's until its
// After has returned; one that was answered with an error, or has no After, is so for good.
type Call struct {
	Listener string         // the listener's name
	Method   string         // the HTTP method; "POST" for gRPC
	Route    string         // the matched pattern, gRPC's full method, or "/" for an adopted handler
	Tenant   string         // on whose behalf it is, as far as the service says
	Peer     netip.AddrPort // the other end of the connection, as in request.Origin
	Stream   bool           // it may go on for as long as both sides like

	// Header is the first value of a field of the HTTP header, or of gRPC's metadata; names are
	// as in package net/http. It is empty when there is none.
	Header func(name string) string

	// Request and Response are of HTTP, and nil over gRPC. What Intercept puts in their place is
	// given to the handler: a Response has a method Unwrap, as http.ResponseController wants it.
	Request  *http.Request
	Response http.ResponseWriter
	// Message is the request of a unary gRPC method, and nil otherwise.
	Message any

	// After, when Intercept sets it, is called when the handler has ended, with the error that is
	// about to be answered, and returns what is answered in its place: nil for what the handler
	// has said. What the handler has written by then is out. The error is nil for a success; when
	// the handler has panicked, what is returned does not matter.
	After func(err error) error
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// check refuses a Spec that cannot run.
func (s *Spec[C]) check() error {
	if !serviceName.MatchString(s.Name) {
		return fmt.Errorf("the service's name %q: want lower-case letters, digits and hyphens, a letter first", s.Name)
	}
	if s.Setup == nil {
		return fmt.Errorf("service %s: its Spec has no Setup", s.Name)
	}
	for _, c := range s.Commands {
		if slices.ContainsFunc(ownCommands, func(own ownCommand) bool { return own.name == c.Name }) {
			return fmt.Errorf("service %s: the command %q is one of the chassis's own", s.Name, c.Name)
		}
	}
	return nil
}
