//go:build unix

package reload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// Link is what a worker has of its supervisor, its predecessors and its successor. Its methods are
// safe for concurrent use.
//
// When the supervisor dies, the worker goes on without one: it serves, and waits in the run
// directory for a new one to take it over.
type Link struct {
	number  int
	alone   bool
	dir     string
	locks   string // directory of the locks; empty when there is none
	started time.Time
	version string
	limits  Limits
	counter Counter
	adopt   AdoptFunc
	waiting *net.UnixListener // for a new supervisor; nil without a run directory
	orders  chan Order
	hurry   chan struct{}
	commits chan struct{}
	last    atomic.Uint64 // ID of a question
	// counting is held from when a snapshot is made until it is sent: a later one counts more.
	counting sync.Mutex
	// asked is set while somebody waits for counting in order to answer the supervisor: questions that
	// come meanwhile have the same answer. Each would hold a goroutine while a count hangs.
	asked atomic.Bool

	mu       sync.Mutex
	up       *channel // to the supervisor; nil while there is none
	gone     chan struct{}
	phase    Phase
	sockets  []grant
	answers  map[uint64]chan<- reply
	heir     *heir
	carry    *Snapshot
	others   []Snapshot // what is known of other workers, should there be no supervisor to ask
	hurried  bool
	ordered  bool
	finished bool
}

// grant is a listening socket that this worker was given.
type grant struct {
	socketName
	file *os.File
}

type reply struct {
	message
	files []*os.File
}

// Role is what the environment tells a process to be.
type Role int

// The roles.
const (
	RoleNone       Role = iota // nobody has started this process but its user
	RoleWorker                 // call Connect
	RoleSupervisor             // call Resume: it was a supervisor before it was replaced in place
	RoleCheck                  // call Check: somebody wants to know whether this binary can supervise
)

// RoleOf is the role that an environment gives.
func RoleOf(getenv func(string) string) Role {
	switch {
	case getenv(workerVar) != "":
		return RoleWorker
	case getenv(stateVar) != "":
		return RoleSupervisor
	case getenv(checkVar) != "":
		return RoleCheck
	}
	return RoleNone
}

// Clean is an environment without what gives a process its role. A worker's own children get it.
func Clean(environ []string) []string {
	var out []string
	for _, kv := range environ {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case workerVar, locksVar, stateVar, checkVar:
		default:
			out = append(out, kv)
		}
	}
	return out
}

// Connect makes the link of a worker from what its supervisor has put into its environment and its
// descriptors, both of which it takes: a child of this process will not think itself a worker.
func Connect() (*Link, error) {
	value := os.Getenv(workerVar)
	number, alone, dir, err := parseWorkerVar(value)
	if err != nil {
		return nil, err
	}
	locks := os.Getenv(locksVar)
	if err := errors.Join(os.Unsetenv(workerVar), os.Unsetenv(locksVar)); err != nil {
		return nil, err
	}
	syscall.CloseOnExec(linkFile)
	up, err := openChannel(os.NewFile(linkFile, "supervisor"))
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is to be the channel to the supervisor: %w", linkFile, err)
	}
	crash := os.NewFile(crashFile, "crash")
	syscall.CloseOnExec(crashFile)
	if err := errors.Join(setCrashOutput(crash), crash.Close()); err != nil {
		up.close()
		return nil, fmt.Errorf("descriptor %d is to be for crashes: %w", crashFile, err)
	}
	l, err := newLink(number, alone, dir, up)
	if err == nil && dir == "" {
		l.locks = locks
	}
	return l, err
}

func newLink(number int, alone bool, dir string, up *channel) (*Link, error) {
	l := &Link{
		number: number, alone: alone, dir: dir, locks: dir, started: time.Now(), phase: Starting,
		orders: make(chan Order, 1), hurry: make(chan struct{}), commits: make(chan struct{}, 1),
		answers: map[uint64]chan<- reply{},
	}
	if dir != "" {
		path := workerSocket(dir, number)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			up.close()
			return nil, err
		}
		waiting, err := listenPrivate(path)
		if err != nil {
			up.close()
			return nil, fmt.Errorf("run directory: %w", err)
		}
		l.waiting = waiting
		go l.awaitSupervisors()
	}
	l.follow(up)
	return l, nil
}

// Worker is the number of this worker; a later one has a larger number.
func (l *Link) Worker() int { return l.number }

// Alone reports whether nothing served when this worker was started, so that nobody but it can
// answer meanwhile.
func (l *Link) Alone() bool { return l.alone }

// Orders is told when the worker is to drain: once.
func (l *Link) Orders() <-chan Order { return l.orders }

// Hurry is closed when the worker is to end at once.
func (l *Link) Hurry() <-chan struct{} { return l.hurry }

// Hello introduces the worker: the version of its program, the limits it lives under, how it
// counts, and who takes connections that a predecessor hands over.
func (l *Link) Hello(version string, limits Limits, counter Counter, adopt AdoptFunc) error {
	l.mu.Lock()
	l.version, l.limits, l.counter, l.adopt = version, limits, counter, adopt
	m := message{Kind: kindHello, PID: os.Getpid(), Hello: l.hello()}
	l.mu.Unlock()
	return l.tell(m)
}

// hello is how the worker introduces itself now. l.mu is held.
func (l *Link) hello() *hello {
	h := &hello{Protocol: protocol, Worker: l.number, Phase: l.phase, Started: l.started, Version: l.version, Limits: l.limits, Carry: l.carry}
	for _, g := range l.sockets {
		h.Sockets = append(h.Sockets, g.socketName)
	}
	return h
}

// errNoSupervisor says that the supervisor has died.
var errNoSupervisor = errors.New("there is no supervisor")

// tell says something to the supervisor.
func (l *Link) tell(m message) error {
	l.mu.Lock()
	up := l.up
	l.mu.Unlock()
	if up == nil {
		return errNoSupervisor
	}
	return up.send(m)
}

// follow makes up the channel to the supervisor and listens to it.
func (l *Link) follow(up *channel) {
	gone := make(chan struct{})
	l.mu.Lock()
	if l.finished {
		l.mu.Unlock()
		up.close()
		return
	}
	if l.up != nil {
		l.up.close()
	}
	l.up, l.gone = up, gone
	l.mu.Unlock()
	go func() {
		defer close(gone)
		for {
			m, files, err := up.receive()
			if err != nil {
				break
			}
			l.received(m, files)
		}
		up.close()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.up == up {
			l.up = nil
		}
	}()
}

// received acts on what the supervisor has said.
func (l *Link) received(m message, files []*os.File) {
	switch m.Kind {
	case kindAnswer:
		l.mu.Lock()
		answers := l.answers[m.ID]
		delete(l.answers, m.ID)
		if answers != nil {
			answers <- reply{m, files} // under the lock, so that who gives up waiting finds it
			files = nil
		}
		l.mu.Unlock()
	case kindCommit, kindAdopt:
		if f := first(files); f != nil {
			go l.inherit(f)
		}
		if m.Kind == kindCommit {
			l.committed(m.Snapshots)
		}
		return
	case kindDrain, kindHeir:
		if f := first(files); f != nil || !m.Stop {
			l.bequeath(f)
		}
		if m.Kind == kindDrain {
			l.order(Order{Stop: m.Stop})
		}
		return
	case kindHurry:
		l.mu.Lock()
		if !l.hurried {
			l.hurried = true
			close(l.hurry)
		}
		l.mu.Unlock()
		l.order(Order{Stop: true})
	case kindSnapshot:
		if l.asked.CompareAndSwap(false, true) {
			go l.count()
		}
	case kindCarry:
		go l.carryOn(m.Snapshots)
	}
	closeFiles(files)
}

// committed notes that this worker is the one that serves, from when on it can be taken over, and
// what ended workers have counted.
func (l *Link) committed(carry []Snapshot) {
	l.mu.Lock()
	if l.phase == Starting {
		l.phase = Active
	}
	if len(carry) > 0 {
		l.carry, l.others = &carry[0], carry
	}
	l.mu.Unlock()
	select {
	case l.commits <- struct{}{}:
	default: // it was said before
	}
}

// order has the worker drain; only the first order counts.
func (l *Link) order(o Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ordered {
		return
	}
	l.ordered = true
	l.phase = Draining
	if !o.Stop {
		l.closeSockets() // the successor has them
	}
	l.orders <- o
}

// closeSockets closes the descriptors kept for a takeover. l.mu is held.
func (l *Link) closeSockets() {
	for _, g := range l.sockets {
		_ = g.file.Close()
	}
	l.sockets = nil
}

// Listen returns the listener called name, which the supervisor opens unless it has it open from
// the worker before. The error is the operating system's.
func (l *Link) Listen(ctx context.Context, name, network, address string) (net.Listener, error) {
	m, files, err := l.ask(ctx, message{Kind: kindListen, Name: name, Network: network, Address: address})
	if err != nil {
		return nil, err
	}
	f := first(files)
	switch {
	case m.Errno != 0:
		return nil, syscall.Errno(m.Errno)
	case m.Error != "":
		return nil, errors.New(m.Error)
	case f == nil:
		return nil, errTruncated
	}
	listener, err := net.FileListener(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets = append(l.sockets, grant{socketName{name, network, address}, f})
	return listener, nil
}

// Failed tells the supervisor why the worker will end: without having been ready, or although it
// serves. Then another one is started, to which this one can hand over. The error says that there
// is no supervisor.
func (l *Link) Failed(r Reason, err error) error {
	if err := l.tell(message{Kind: kindFailed, Reason: r, Error: wary.Text(err)}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == Active {
		l.phase = Draining
		l.closeSockets() // the supervisor has them
	}
	return nil
}

// Ready tells the supervisor that the worker can serve, and returns when it is to: from then on
// it is the one that serves. Before that nothing may be accepted.
func (l *Link) Ready(ctx context.Context) error {
	l.mu.Lock()
	gone := l.gone
	l.mu.Unlock()
	if err := l.tell(message{Kind: kindReady}); err != nil {
		return err
	}
	select {
	case <-l.commits:
		return nil
	case <-gone:
		select {
		case <-l.commits: // its last word; the one before drains
			return nil
		default:
			return errNoSupervisor
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Release has the listeners closed everywhere but in what [Link.Listen] returned, as the service
// stops: a listener that is open lets connections in.
func (l *Link) Release(ctx context.Context) error {
	_, _, err := l.ask(ctx, message{Kind: kindRelease})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeSockets()
	if errors.Is(err, errNoSupervisor) {
		return nil
	}
	return err
}

// Status is what the supervisor knows.
func (l *Link) Status(ctx context.Context) (*Status, error) {
	m, _, err := l.ask(ctx, message{Kind: kindStatus})
	return m.Status, err
}

// Gather deposits what this worker has counted, which count returns, and returns the snapshots of
// the other workers, living and ended, and what the supervisor knows. When there is no supervisor,
// it returns what was known of the others last, and an error beside it.
func (l *Link) Gather(ctx context.Context, count func() []byte) ([]Snapshot, *Status, error) {
	l.counting.Lock()
	q, err := l.begin(message{Kind: kindGather, Snapshot: count()})
	l.counting.Unlock()
	var m message
	if err == nil {
		m, _, err = q.wait(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.others = m.Snapshots
	}
	return slices.Clone(l.others), m.Status, err
}

// count answers the supervisor's question for a snapshot.
func (l *Link) count() {
	l.counting.Lock()
	defer l.counting.Unlock()
	l.asked.Store(false) // who asks from here on may want to know what this does not count
	l.mu.Lock()
	snapshot, finished := l.counter.Snapshot, l.finished
	l.mu.Unlock()
	if snapshot == nil || finished {
		return
	}
	if data, _ := snapshot(); len(data) > 0 { // an error may come beside what could be counted
		_ = l.tell(message{Kind: kindSnapshot, Snapshot: data})
	}
}

// carryOn merges the snapshots of ended workers.
func (l *Link) carryOn(ended []Snapshot) {
	l.mu.Lock()
	merge := l.counter.Carry
	l.mu.Unlock()
	if merge == nil || len(ended) == 0 {
		return
	}
	data, _ := merge(ended) // an error may come beside what could be merged
	if len(data) == 0 {
		return // the supervisor keeps them as they are
	}
	l.mu.Lock()
	l.carry = ofAll(ended, data)
	l.others = slices.DeleteFunc(slices.Clone(l.others), func(o Snapshot) bool {
		return slices.ContainsFunc(ended, func(e Snapshot) bool { return e.Worker == o.Worker })
	})
	l.others = append(l.others, *l.carry)
	l.mu.Unlock()
	_ = l.tell(message{Kind: kindCarry, Snapshot: data})
}

// Leave deposits what the worker has counted in its whole life, when it counts no more, and waits
// until the supervisor has it. Without one it leaves it in the run directory, for the next. It then
// closes the link.
func (l *Link) Leave(ctx context.Context, last []byte) error {
	l.mu.Lock()
	l.finished = true // a snapshot from before could come after this one
	l.mu.Unlock()
	_, _, err := l.ask(ctx, message{Kind: kindSnapshot, Snapshot: last})
	if errors.Is(err, errNoSupervisor) {
		err = leaveBehind(l.dir, l.number, last)
	}
	l.Close()
	return err
}

// Close closes the link.
func (l *Link) Close() {
	if l.waiting != nil && l.waiting.Close() == nil { // the first time
		_ = os.Remove(workerSocket(l.dir, l.number))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finished = true
	l.closeSockets()
	if l.up != nil {
		l.up.close()
	}
	if l.heir != nil {
		l.heir.link.close()
	}
}

// awaitSupervisors lets supervisors take this worker over. Only one can: it holds the lock of the
// run directory.
func (l *Link) awaitSupervisors() {
	for {
		conn, err := l.waiting.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		if up := newChannel(conn); l.introduce(up) {
			l.follow(up)
		} else {
			up.close()
		}
	}
}

// introduce tells a new supervisor who this is, with its listeners. A worker that was never ready
// has nothing to be taken over for: it gives up.
func (l *Link) introduce(up *channel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == Starting || l.finished {
		return false
	}
	fds := make([]int, len(l.sockets))
	for i, g := range l.sockets {
		fds[i] = fdOf(g.file)
	}
	_ = up.conn.SetWriteDeadline(time.Now().Add(takeoverTimeout))
	err := up.send(message{Kind: kindHello, PID: os.Getpid(), Hello: l.hello()}, fds...)
	_ = up.conn.SetWriteDeadline(time.Time{})
	return err == nil
}

// lockEvery is how often a worker looks whether a lock is free. A lock that blocks (flock without
// LOCK_NB) could not be given up again.
const lockEvery = 10 * time.Millisecond

// Lock takes the lock called name, which one process of the service can hold at a time, and waits
// for it until ctx ends. release gives it back; so does the end of the process, however it comes.
// Without a run directory it is among the workers of one supervisor, which has made a temporary
// directory for it; if it could not do that either, nothing can be locked, and the error says so.
func (l *Link) Lock(ctx context.Context, name string) (release func(), err error) {
	if err := ValidLock(name); err != nil {
		return nil, err
	}
	if l.locks == "" {
		return nil, fmt.Errorf("lock %s: there is neither a run directory nor a temporary one to have it in: name a run directory", name)
	}
	f, err := openOwn(filepath.Join(l.locks, lockPrefix+name), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for {
		err := flock(f)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, context.Cause(ctx)), f.Close())
		}
	}
}
