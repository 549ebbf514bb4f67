//go:build unix

package reload

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
)

// ListenFunc opens a listening socket.
type ListenFunc func(network, address string) (net.Listener, error)

// Options say what a supervisor supervises.
type Options struct {
	// Program is what the daemon is called in messages, such as "gamed".
	Program string
	// Args are the arguments of the process, the program's name first; workers get the same.
	Args []string
	// Environ is the environment of the process as "KEY=value"; workers get it without what
	// the service manager says to the supervisor.
	Environ []string
	// Directory is the run directory; Named says that somebody has asked for it. One that was
	// not asked for and cannot be used is done without: there are no commands then, and no
	// takeover, and locks are in a temporary directory.
	Directory string
	Named     bool
	// Listen opens listening sockets.
	Listen ListenFunc
	// Log takes what the supervisor has to say.
	Log *slog.Logger
	// Stdin, Stdout and Stderr are those of the workers.
	Stdin, Stdout, Stderr *os.File

	// Timing is for tests; its zero value is what services want.
	Timing Timing
}

// Timing is how patient a supervisor is.
type Timing struct {
	// Grace is how long after the end of its drain a worker is killed; 2 s by default.
	Grace time.Duration
	// Good is how long a worker must have served until its binary is one to roll back to, and
	// until crashes before are forgotten; 10 s by default.
	Good time.Duration
	// Backoff is how long the second restart after a crash in a row waits, and the longest
	// wait; 100 ms and 10 s by default. The first does not wait.
	Backoff, MaxBackoff time.Duration
}

func (t *Timing) setDefaults() {
	for _, d := range []struct {
		field    *time.Duration
		standard time.Duration
	}{{&t.Grace, 2 * time.Second}, {&t.Good, 10 * time.Second}, {&t.Backoff, 100 * time.Millisecond}, {&t.MaxBackoff, 10 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.standard
		}
	}
}

// defaultLimits hold until the first worker has told its own.
var defaultLimits = Limits{Start: 60 * time.Second, Drain: 25 * time.Second, Draining: 3}

// crashesToRollBack is how many crashes in a row it takes until the binary before is tried.
const crashesToRollBack = 3

// sameSignal is how long a signal may repeat without being a second one: timeout(1) signals its
// child and then the child's group.
const sameSignal = 100 * time.Millisecond

// supervisor is the permanent parent. One goroutine, that of run, owns all of its fields; others
// post what they have learned.
//
//	       SIGHUP, reload            ready
//	Idle ───────────────▶ Starting ─────────▶ Swap ──▶ Idle
//	 ▲                     │    ▲
//	 ├──died or timed out──┘    └── the active worker died: at once, then with back-off
//	 └── the old one, if there is one, goes on
//
//	any ──SIGTERM──▶ Stopping: the starting worker is killed, the others drain ──▶ exit
type supervisor struct {
	Options
	log     *slog.Logger
	binary  string // path of the program as it was started, symbolic links and all
	notify  *systemd.Notifier
	lock    *os.File          // of the run directory; nil without one
	locks   string            // directory for locks of workers; empty with a run directory
	control *net.UnixListener // for commands; nil without a run directory
	events  chan func()
	quit    chan struct{} // closed when run has ended: nobody takes events any more

	started  time.Time
	number   int // of the last worker started
	sockets  sockets
	stored   map[string]*socket // what the service manager keeps, by the names that it has for it
	workers  []*worker          // living, the oldest first
	starting *worker
	active   *worker
	served   bool // there was an active one
	limits   Limits
	books    books
	last     *Outcome
	counts   Counts

	pending   bool             // a reload was asked for that cannot begin yet
	waiters   []*func(Outcome) // told how the reload under way ends; pointers, to find one that leaves
	queued    []*func(Outcome) // told how the one after it ends
	crashes   int              // in a row
	restart   *time.Timer      // of the next start after a crash
	good      *build           // to roll back to; nil when there is none
	rolled    bool             // workers are started from good
	upgrade   bool             // replace this process once the active worker's build is proven
	attempts  int              // to replace this process, since that was asked for
	replacing *time.Timer      // set while channels are made to stand still for that; its end gives it up
	stopping  time.Time        // when the stop was asked for; zero before
	failed    bool             // the exit code is to be 1
	hurried   bool             // the stop was asked for twice
	code      int              // exit code, when nothing was ever ready
	stopped   []*func()        // told when everything has ended
	signals   chan os.Signal
	hangups   chan os.Signal // SIGHUP, by itself: a flood of it must not drown the others
	children  chan os.Signal // SIGCHLD: of several one is enough
}

// Supervise runs the daemon under a supervisor, which this process becomes, until the service has
// stopped, and returns what to exit with. It takes SIGHUP (reload), SIGTERM and SIGINT (stop; a
// second one ends at once) and SIGUSR2 (replace the supervisor itself). When workers whose
// supervisor has died live in the run directory, it takes them over. The error says why it could
// not begin.
func Supervise(o Options) (int, error) {
	s, err := newSupervisor(o)
	if err != nil {
		return 1, err
	}
	s.listenForSignals()
	defer s.stopSignals()
	if err := s.openDirectory(); err != nil {
		return 1, err
	}
	if err := s.inheritSockets(); err != nil {
		s.closeDirectory()
		return 1, err
	}
	s.takeOver()
	if s.active != nil {
		// What this process was started with may differ from what the worker was.
		s.reload(nil)
	} else {
		s.start()
	}
	return s.run(), nil
}

func (s *supervisor) listenForSignals() {
	signal.Notify(s.children, syscall.SIGCHLD)
	signal.Notify(s.hangups, syscall.SIGHUP)
	signal.Notify(s.signals, syscall.SIGTERM, os.Interrupt, syscall.SIGUSR2)
}

func (s *supervisor) stopSignals() {
	signal.Stop(s.children)
	signal.Stop(s.hangups)
	signal.Stop(s.signals)
}

// inheritSockets takes over what the service manager has opened for the service, or kept for it.
func (s *supervisor) inheritSockets() error {
	handed, err := systemd.Sockets(getenv(s.Environ))
	if err != nil {
		return err
	}
	for _, h := range handed {
		if name, ok := parseKept(h.Name); ok {
			s.inheritKept(h.Name, &socket{socketName: name, file: h.File, kept: true})
			continue
		}
		sock := &socket{socketName: socketName{Name: h.Name}, file: h.File, foreign: true}
		if l, err := net.FileListener(h.File); err == nil {
			sock.Network, sock.Address = l.Addr().Network(), l.Addr().String()
			_ = l.Close()
		} else {
			s.log.Warn("the service manager handed in a descriptor that nothing listens on", "name", h.Name, "error", err)
			_ = h.File.Close()
			continue
		}
		s.sockets.inherited = append(s.sockets.inherited, sock)
	}
	return nil
}

// inheritKept takes back what the service manager has kept of a supervisor that has died. That two
// have one name means that it was not heard that the first is not used any more: neither is.
func (s *supervisor) inheritKept(as string, sock *socket) {
	_, twice := s.stored[as]
	s.stored[as] = sock
	if !twice && sock.reachable() {
		s.sockets.inherited = append(s.sockets.inherited, sock)
		return
	}
	first := s.sockets.find(s.sockets.inherited, func(have *socket) bool { return have.kept && have.socketName == sock.socketName })
	for _, have := range []*socket{s.sockets.pick(first), sock} {
		if have != nil {
			_ = have.close(true) // it may be gone, which is why
		}
	}
	s.tell(s.notify.Remove(as))
	delete(s.stored, as)
}

// newSupervisor makes a supervisor that has not begun.
func newSupervisor(o Options) (*supervisor, error) {
	o.Timing.setDefaults()
	s := &supervisor{
		Options:  o,
		log:      o.Log,
		events:   make(chan func(), 64),
		quit:     make(chan struct{}),
		started:  time.Now(),
		sockets:  sockets{listen: o.Listen},
		stored:   map[string]*socket{},
		limits:   defaultLimits,
		counts:   Counts{Failed: map[Reason]uint64{}},
		signals:  make(chan os.Signal, 16),
		hangups:  make(chan os.Signal, 1),
		children: make(chan os.Signal, 1),
	}
	var err error
	if s.binary, err = lookBinary(o.Args[0]); err != nil {
		return nil, err
	}
	if s.notify, err = systemd.FromEnv(getenv(o.Environ)); err != nil {
		return nil, err
	}
	return s, nil
}

// getenv looks names up in an environment; the last entry counts.
func getenv(environ []string) func(string) string {
	return func(name string) string {
		value := ""
		for _, kv := range environ {
			if k, v, _ := strings.Cut(kv, "="); k == name {
				value = v
			}
		}
		return value
	}
}

// lookBinary is the path by which the program was started: not that of the file behind it, since
// deploying may mean to point a symbolic link at another file.
func lookBinary(arg0 string) (string, error) {
	path, err := exec.LookPath(arg0)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path, err = os.Executable()
	}
	if err != nil {
		return "", fmt.Errorf("cannot tell which file this program is: %w", err)
	}
	return path, nil
}

// post hands f to the goroutine that owns the supervisor.
func (s *supervisor) post(f func()) {
	select {
	case s.events <- f:
	case <-s.quit:
	}
}

// run owns the supervisor until everything has ended, and returns the exit code.
func (s *supervisor) run() int {
	defer close(s.quit)
	var watchdog <-chan time.Time
	if every := s.notify.WatchdogInterval(); every > 0 {
		tick := time.NewTicker(every)
		defer tick.Stop()
		watchdog = tick.C
	}
	for !s.over() {
		select {
		case f := <-s.events:
			f()
		case sig := <-s.signals:
			s.signaled(sig)
		case sig := <-s.hangups:
			s.signaled(sig)
		case <-s.children:
			s.reap()
		case <-watchdog:
			s.tell(s.notify.Watchdog())
		}
		s.tryToReplace()
	}
	return s.finish()
}

// over reports whether nothing is left to do.
func (s *supervisor) over() bool {
	return !s.stopping.IsZero() && len(s.workers) == 0
}

// finish releases everything.
func (s *supervisor) finish() int {
	s.letGo()
	for _, f := range s.stopped {
		(*f)()
	}
	s.closeDirectory()
	s.good.close()
	return s.exitCode()
}

func (s *supervisor) exitCode() int {
	if s.failed && s.code == 0 {
		return 1
	}
	return s.code
}

// tell notes that the service manager could not be told something.
func (s *supervisor) tell(err error) {
	if err != nil {
		s.log.Warn("telling the service manager", "error", err)
	}
}

func (s *supervisor) signaled(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		s.log.Info("reload asked for", "by", "signal")
		s.reload(nil)
	case syscall.SIGUSR2:
		s.log.Info("upgrade asked for", "by", "signal")
		s.upgradeSelf()
	case syscall.SIGTERM, os.Interrupt:
		s.stop(nil)
	}
}

// reload begins to replace the active worker, or remembers to; done, which may be nil, is told how
// it went.
func (s *supervisor) reload(done *func(Outcome)) {
	switch {
	case done == nil:
	case !s.stopping.IsZero():
		(*done)(Outcome{Time: time.Now(), Reason: ReasonStopping, Error: "the service stops"})
	default:
		s.queued = append(s.queued, done)
	}
	// What starts now may have read what was changed since: only one that starts later has surely
	// not.
	s.pending = true
	s.next()
}

// next begins what had to wait.
func (s *supervisor) next() {
	if s.starting != nil || s.replacing != nil || !s.stopping.IsZero() {
		return
	}
	switch {
	case s.active == nil:
		// Whatever was changed is in the start that has to come anyway.
		if s.pending {
			s.stopRestart()
		}
		if s.restart == nil {
			s.take()
			s.start()
		}
	case s.upgrade && len(s.queued) == 0 && s.active.build.current():
		// A reload that nobody waits for can wait for the one that follows the upgrade.
		s.upgrade = false
		s.pauseToReplace()
		if s.replacing == nil {
			s.next()
		}
	case (s.pending || s.upgrade) && s.draining() < s.limits.Draining:
		s.take()
		s.tell(s.notify.Reloading())
		s.start()
	}
}

// take makes those who wait for the next reload wait for the one that begins now.
func (s *supervisor) take() {
	if s.pending {
		s.rolled, s.crashes = false, 0 // what was asked for may mend it
	}
	s.pending = false
	s.waiters = append(s.waiters, s.queued...)
	s.queued = nil
}

func (s *supervisor) draining() int {
	n := 0
	for _, w := range s.workers {
		if w.phase == Draining {
			n++
		}
	}
	return n
}

// start starts a worker.
func (s *supervisor) start() {
	s.number++
	w, err := s.spawn(s.number)
	if err != nil {
		s.log.Error("a worker could not be started", "worker", s.number, "error", err)
		s.startFailed(Outcome{Time: time.Now(), Worker: s.number, Reason: ReasonExec, Error: err.Error()}, 1)
		return
	}
	s.workers = append(s.workers, w)
	s.starting = w
	s.expect(w, s.limits.Start)
}

// expect kills a worker that is not ready within d.
func (s *supervisor) expect(w *worker, d time.Duration) {
	w.alarm(s, time.Until(w.started.Add(d)), func() {
		if s.starting == w {
			w.fails(ReasonTimeout, fmt.Sprintf("it was not ready within %v", d))
			w.kill()
		}
	})
}

// ready makes the starting worker the active one. This is the point of no return.
func (s *supervisor) ready(w *worker) {
	if w != s.starting || w.killed {
		return
	}
	old := s.active
	s.starting, s.active, s.served = nil, w, true
	w.enter(Active)
	w.stopAlarm()
	s.stopRestart()
	s.limits = w.limits()
	if err := s.sockets.commit(); err != nil {
		s.log.Warn("closing sockets that are not used any more", "error", err)
	}
	s.store()
	commit := message{Kind: kindCommit}
	if s.books.carry != nil {
		commit.Snapshots = []Snapshot{*s.books.carry} // it outlives this process there
	}
	if old == nil {
		w.send(commit)
	} else {
		s.pair(old, w, message{Kind: kindDrain}, commit)
		s.drainBy(old, old.limits().Drain)
	}
	s.heirs(w)
	outcome := Outcome{Time: time.Now(), Worker: w.number, PID: w.pid, Took: time.Since(w.started)}
	s.last = &outcome
	if old != nil {
		s.counts.Reloads++
		s.log.Info("reloaded", "worker", w.number, "pid", w.pid, "took", outcome.Took, "drains", old.number)
	} else {
		s.log.Info("worker is ready", "worker", w.number, "pid", w.pid, "took", outcome.Took)
	}
	s.answer(outcome)
	if s.upgrade && !w.build.current() {
		s.upgrade = false // whoever asked can ask again
		s.log.Error("the supervisor stays as it is: its file cannot be read, or was replaced once more", "binary", s.binary)
	}
	s.tell(s.notify.Ready(fmt.Sprintf("worker %d serves, process %d", w.number, w.pid)))
	w.alarm(s, s.Timing.Good, func() { s.proven(w) })
	debug.FreeOSMemory() // a few hundred KiB are in use
	dropPages()
	if w.hello.Protocol > protocol {
		s.upgrade = true
	}
	s.next()
}

// proven notes that a worker has served for a while.
func (s *supervisor) proven(w *worker) {
	if w != s.active {
		return
	}
	s.crashes = 0
	if !s.rolled && !s.good.same(w.build) {
		s.good.close()
		s.good = w.build.keep()
	}
}

// answer tells those who wait how the reload went.
func (s *supervisor) answer(o Outcome) {
	waiters := s.waiters
	s.waiters = nil
	for _, done := range waiters {
		(*done)(o)
	}
}

// forget has done not be told how the reload went.
func (s *supervisor) forget(done *func(Outcome)) {
	s.waiters, s.queued = without(s.waiters, done), without(s.queued, done)
}

func without[T comparable](list []T, one T) []T {
	return slices.DeleteFunc(list, func(o T) bool { return o == one })
}

// drainBy kills w when it has not drained by then.
func (s *supervisor) drainBy(w *worker, d time.Duration) {
	w.enter(Draining)
	w.alarm(s, d+s.Timing.Grace, func() { s.overdue(w) })
}

// overdue ends a worker that has not drained in time.
func (s *supervisor) overdue(w *worker) {
	s.log.Error("worker did not end in time and is killed", "worker", w.number, "pid", w.pid, "drains_since", w.since)
	s.counts.Killed++
	s.failed = s.failed || !s.stopping.IsZero()
	w.kill()
}

// pair connects two workers by a channel, on which the first hands its connections over to the
// second, and tells each what for. The first hears of it when the second has been told: should
// this process die in between, both serve instead of none.
func (s *supervisor) pair(from, to *worker, tell, told message) {
	var as, bs []*os.File
	if a, b, err := socketPair(); err != nil {
		s.log.Warn("connections cannot be handed over", "error", err)
	} else {
		as, bs = []*os.File{a}, []*os.File{b}
	}
	to.post(parcel{message: told, files: bs, then: func() { from.send(tell, as...) }})
}

// heirs gives those who lost their successor the one that became active.
func (s *supervisor) heirs(to *worker) {
	for _, w := range s.workers {
		if w.heirless && w != to {
			w.heirless = false
			s.pair(w, to, message{Kind: kindHeir}, message{Kind: kindAdopt})
		}
	}
}

// gone notes that a worker has ended.
func (s *supervisor) gone(w *worker, e *exit) {
	if !slices.Contains(s.workers, w) {
		return
	}
	s.workers = slices.DeleteFunc(s.workers, func(o *worker) bool { return o == w })
	w.release()
	defer s.next()
	defer s.bury(w)
	switch {
	case w == s.starting:
		s.starting = nil
		if err := s.sockets.abandon(); err != nil {
			s.log.Warn("closing sockets of a worker that was not ready", "error", err)
		}
		s.startFailed(w.outcome(e), e.code())
	case w == s.active:
		s.active = nil
		s.crashed(w, e)
	default:
		s.failed = s.failed || !s.stopping.IsZero() && e != nil && !e.clean()
		s.log.Info("worker has ended", "worker", w.number, "pid", w.pid, "how", e.String(), "drained", time.Since(w.since))
	}
}

// stop ends the service: at once when it is asked for a second time. done, which may be nil, is
// told when everything has ended.
func (s *supervisor) stop(done *func()) {
	if done != nil {
		s.stopped = append(s.stopped, done)
	}
	if !s.stopping.IsZero() {
		if done == nil && time.Since(s.stopping) > sameSignal {
			s.hurry()
		}
		return
	}
	s.stopping = time.Now()
	s.log.Info("stopping", "workers", len(s.workers))
	s.tell(s.notify.Stopping("draining"))
	s.stopRestart()
	for _, done := range s.queued {
		(*done)(Outcome{Time: time.Now(), Reason: ReasonStopping, Error: "the service stops"})
	}
	s.queued, s.pending = nil, false
	if s.starting != nil {
		s.starting.failure = message{Reason: ReasonStopping, Error: "the service stops"}
		s.starting.abandon(s, s.starting.limits().Drain+s.Timing.Grace)
	}
	if s.active != nil {
		s.active.send(message{Kind: kindDrain, Stop: true})
		s.drainBy(s.active, s.active.limits().Stop)
	} else {
		s.release()
	}
}

// hurry ends what still drains.
func (s *supervisor) hurry() {
	if s.hurried {
		return // a further signal does not give them another second
	}
	s.hurried, s.failed = true, true
	s.log.Warn("second signal: ending without draining")
	for _, w := range s.workers {
		w.send(message{Kind: kindHurry})
		w.alarm(s, time.Second, w.kill)
	}
}
