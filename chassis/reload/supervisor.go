//go:build unix

package reload

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
)

// defaultLimits hold until the first worker has told its own.
var defaultLimits = Limits{Start: 60 * time.Second, Drain: 25 * time.Second, Draining: 3}

// crashesToRollBack is how many crashes in a row it takes until the binary before is tried.
const crashesToRollBack = 3

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
		books:    books{timeout: gatherTimeout},
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
