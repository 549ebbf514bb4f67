package lossbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Mode is how the process is replaced.
type Mode string

// The modes.
const (
	// Signal sends SIGHUP to the process that was started, which stays and starts another worker.
	Signal Mode = "signal"
	// Restart stops the process with SIGTERM, waits for its end and starts it again: what is lost
	// without any way of reloading.
	Restart Mode = "restart"
	// PIDFile sends SIGHUP to the process named in a file, which starts its own successor, as programs
	// with github.com/cloudflare/tableflip do. A signal that is not followed is sent again.
	PIDFile Mode = "tableflip"
)

// Bench is a run: a command that serves, clients that ask it, and reloads.
type Bench struct {
	// Command is started once, in Restart once more for each reload. It must listen on the addresses
	// in Load. RUNTIME_DIRECTORY in its environment is a run directory of this run alone.
	Command []string
	Mode    Mode // "" is Signal
	PIDFile string
	Reloads int
	// Interval is the time from one reload to the next, 1.2 s when it is 0. A reload that takes longer
	// delays the next.
	Interval time.Duration
	// Warmup is the time before the first reload, 1 s when it is 0; the run goes on for as long after
	// the last one, once the old processes that the probe knows of have ended.
	Warmup time.Duration
	// Probe is a URL whose answer begins with the id of the process that gave it, as target's /work
	// does. Without one, how long reloads take is not measured.
	Probe string
	// ReadyTimeout is how long a new worker may take to answer, 10 s when it is 0; DrainTimeout how
	// long an old one may stay, 30 s when it is 0.
	ReadyTimeout, DrainTimeout time.Duration
	// Fault is what is written to FaultFile for all reloads but the last: a fault of package target that
	// keeps a worker from being ready (panic, error, hang). Such a reload is done when the old worker is
	// the only one that has answered until the next one is due; the last must succeed again. Mode must be
	// Signal.
	Fault, FaultFile string
	// CheckLeaks compares what the process holds before and after. Mode must be Signal.
	CheckLeaks bool
	// Output takes what the command prints, nil nothing. Processes that it leaves behind may write to
	// it longer than Run takes.
	Output *os.File
	Load   Options
}

func (b *Bench) complete() error {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&b.Interval, 1200 * time.Millisecond}, {&b.Warmup, time.Second}, {&b.ReadyTimeout, 10 * time.Second}, {&b.DrainTimeout, 30 * time.Second}} {
		if *d.field < 0 {
			return errors.New("a time is negative")
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if b.Mode == "" {
		b.Mode = Signal
	}
	switch {
	case len(b.Command) == 0:
		return errors.New("no command to start")
	case b.Mode != Signal && b.Mode != Restart && b.Mode != PIDFile:
		return fmt.Errorf("unknown mode %q: want %s, %s or %s", b.Mode, Signal, Restart, PIDFile)
	case (b.PIDFile != "") != (b.Mode == PIDFile):
		return fmt.Errorf("a file with the process id belongs to the mode %s, and only to that", PIDFile)
	case b.Mode == PIDFile && b.Probe == "":
		return fmt.Errorf("mode %s needs a URL to probe: nothing else tells that a signal was followed", PIDFile)
	case b.CheckLeaks && b.Mode != Signal:
		return fmt.Errorf("leaks can be looked for in mode %s only: in others the process does not stay", Signal)
	case b.Fault != "" && (b.Mode != Signal || b.Probe == "" || b.FaultFile == ""):
		return fmt.Errorf("a fault needs the mode %s, a file to write it to and a URL to probe", Signal)
	case b.Fault != "" && !slices.Contains([]string{"panic", "error", "hang"}, b.Fault):
		return fmt.Errorf("fault %q: want panic, error or hang", b.Fault)
	case b.Reloads < 0:
		return fmt.Errorf("reloads: want 0 or more, got %d", b.Reloads)
	}
	return nil
}

// Run starts the command and the clients, reloads as often as asked for, and ends both. An error says that
// nothing could be measured; what was lost, and reloads that failed, are in the report. When ctx ends, the
// report tells of the time until then.
func Run(ctx context.Context, b Bench) (*Report, error) {
	if err := b.complete(); err != nil {
		return nil, err
	}
	r := &run{Bench: b, prober: newProber(b.Probe), ready: newTimes(), drain: newTimes()}
	defer r.prober.close()
	var err error
	if r.directory, err = os.MkdirTemp("", "lossbench-run-"); err != nil {
		return nil, fmt.Errorf("make a run directory: %w", err)
	}
	defer os.RemoveAll(r.directory)
	if r.process, err = launch(b.Command, r.directory, b.Output); err != nil {
		return nil, err
	}
	report, err := r.measure(ctx)
	return report, errors.Join(err, r.end())
}

// run is a Bench under way.
type run struct {
	Bench
	directory string   // run directory of the process
	process   *process // what was started last
	prober    *prober
	worker    int // the process that answered last; 0 without a probe
	// seen are the last that have answered: for a moment those before may still accept as well.
	// Not all, since process ids come again.
	seen   []int
	faulty bool // the reload under way is to be refused

	refused    int
	mu         sync.Mutex
	ready      *hdrhistogram.Histogram
	drain      *hdrhistogram.Histogram
	unfinished int
	drains     sync.WaitGroup
}

// recent is how many workers may live beside each other at most.
const recent = 16

// saw notes that a worker has answered.
func (r *run) saw(pid int) {
	r.seen = append(r.seen, pid)
	r.seen = r.seen[max(0, len(r.seen)-recent):]
}

func newTimes() *hdrhistogram.Histogram {
	return hdrhistogram.New(leastLatency, mostLatency, precision)
}

func (r *run) record(h *hdrhistogram.Histogram, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = h.RecordValue(min(max(d.Microseconds(), leastLatency), mostLatency))
}

func (r *run) measure(ctx context.Context) (*Report, error) {
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	var leaks *Leaks
	if r.CheckLeaks {
		files, err1 := openFiles(r.process.pid())
		dead, err2 := zombies(r.process.pid())
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		leaks = &Leaks{FilesBefore: files, ZombiesBefore: dead}
	}
	begin := time.Now()
	load, err := Start(r.Load)
	if err != nil {
		return nil, err
	}
	done, failure := r.reloadAll(ctx, load)
	if failure == nil {
		// The last old process can lose requests as long as it is there.
		r.awaitDrains(ctx)
		pause(ctx, r.Warmup)
	}
	results := load.Stop()
	took := time.Since(begin)
	r.drains.Wait()
	if leaks != nil {
		if err := r.recount(ctx, leaks); err != nil {
			failure = errors.Join(failure, err)
			leaks = nil
		}
	}
	report := &Report{Target: r.Command, Mode: r.Mode, Delay: milliseconds(r.Load.Delay), Took: milliseconds(took),
		Reloads: Reloads{Asked: r.Reloads, Done: done, Refused: r.refused,
			Ready: latency(r.ready), Drain: latency(r.drain), Unfinished: r.unfinished},
		Fault: r.Fault, Results: results, Leaks: leaks}
	if failure != nil {
		report.Reloads.Failure = failure.Error()
	}
	return report, nil
}

// begin waits until the service answers.
func (r *run) begin(ctx context.Context) error {
	if r.Probe == "" {
		if !pause(ctx, r.Warmup) {
			return context.Cause(ctx)
		}
		if r.process.gone() {
			return r.died()
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.ReadyTimeout)
	defer cancel()
	if !poll(ctx, func() bool {
		r.worker = r.prober.ask(ctx)
		return r.worker != 0 || r.process.gone()
	}) {
		return fmt.Errorf("nobody answers %s within %v", r.Probe, r.ReadyTimeout)
	}
	if r.worker == 0 {
		return r.died()
	}
	r.saw(r.worker)
	return nil
}

func (r *run) died() error { return fmt.Errorf("%s has ended", r.Command[0]) }

// reloadAll returns how many reloads were done, and why not all of them.
func (r *run) reloadAll(ctx context.Context, load *Load) (done int, err error) {
	if !pause(ctx, r.Warmup) {
		return 0, context.Cause(ctx)
	}
	for done < r.Reloads {
		begin := time.Now()
		load.BeginReload()
		err := r.prepare(done == r.Reloads-1)
		if err == nil {
			err = r.reload(ctx)
		}
		load.EndReload()
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		if err != nil {
			return done, fmt.Errorf("reload %d: %w", done+1, err)
		}
		if done++; done < r.Reloads && !pause(ctx, time.Until(begin.Add(r.Interval))) {
			return done, context.Cause(ctx)
		}
	}
	return done, nil
}

// prepare writes what is wrong with the next worker.
func (r *run) prepare(last bool) error {
	if r.Fault == "" {
		return nil
	}
	r.faulty = !last
	text := r.Fault
	if last {
		text = ""
	}
	return os.WriteFile(r.FaultFile, []byte(text), 0o600)
}

// refusal is how long a process that replaces itself may take to answer before the signal is sent again.
const refusal = 500 * time.Millisecond

// reload replaces the worker once.
func (r *run) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.ReadyTimeout+r.DrainTimeout)
	defer cancel()
	old, begin := r.worker, time.Now()
	switch r.Mode {
	case Restart:
		if err := r.restart(ctx); err != nil {
			return err
		}
	case Signal:
		if r.process.gone() {
			return r.died()
		}
		if err := r.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
	case PIDFile:
		return r.flip(ctx, old)
	}
	if r.faulty {
		return r.stays(ctx, old)
	}
	if old == 0 {
		return nil
	}
	return r.await(ctx, old, begin, r.ReadyTimeout)
}

// restart stops the process and starts it again.
func (r *run) restart(ctx context.Context) error {
	if err := r.process.terminate(ctx); err != nil {
		return err
	}
	p, err := launch(r.Command, r.directory, r.Output)
	if err != nil {
		return err
	}
	r.process = p
	return nil
}

// flip has the process in the file replace itself. It refuses to while its own predecessor still drains.
func (r *run) flip(ctx context.Context, old int) error {
	for {
		begin := time.Now()
		if err := r.hangUp(ctx); err != nil {
			return err
		}
		err := r.await(ctx, old, begin, refusal)
		if err == nil || ctx.Err() != nil {
			return err
		}
		r.refused++
	}
}

// hangUp signals the process in the file. One that answers already may not have written it yet.
func (r *run) hangUp(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, r.ReadyTimeout)
	defer cancel()
	var pid int
	if !poll(ctx, func() bool {
		pid, err = r.successor()
		return err != nil || pid != 0 && syscall.Kill(pid, syscall.SIGHUP) == nil
	}) {
		return fmt.Errorf("%s names no process that %s has started", r.PIDFile, r.Command[0])
	}
	return err
}

// stays waits until the next reload is due, and fails when another worker than the old one answers.
func (r *run) stays(ctx context.Context, old int) error {
	ctx, cancel := context.WithTimeout(ctx, r.Interval)
	defer cancel()
	other := 0
	if poll(ctx, func() bool {
		pid := r.prober.ask(ctx)
		if pid != 0 && !slices.Contains(r.seen, pid) {
			other = pid
		}
		return other != 0
	}) {
		return fmt.Errorf("process %d answers in place of %d, though it has the fault %s", other, old, r.Fault)
	}
	return nil
}

// await waits until another worker than the old one answers.
func (r *run) await(ctx context.Context, old int, begin time.Time, timeout time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !poll(waiting, func() bool {
		pid := r.prober.ask(waiting)
		if pid == 0 || slices.Contains(r.seen, pid) {
			return false
		}
		r.worker = pid
		r.saw(pid)
		return true
	}) {
		return fmt.Errorf("no new worker answers within %v; the old one is %d", timeout, old)
	}
	ready := time.Now()
	r.record(r.ready, ready.Sub(begin))
	limit, stop := context.WithTimeout(context.WithoutCancel(ctx), r.DrainTimeout)
	r.drains.Go(func() {
		defer stop()
		if !poll(limit, func() bool { return ended(old) }) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.unfinished++
			return
		}
		r.record(r.drain, time.Since(ready))
	})
	return nil
}

// awaitDrains waits until every old process has ended or has had its time.
func (r *run) awaitDrains(ctx context.Context) {
	drained := make(chan struct{})
	go func() {
		r.drains.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
	}
}

// settle is how long the process may take to close what it no longer needs.
const settle = 2 * time.Second

func (r *run) recount(ctx context.Context, l *Leaks) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	var err1, err2 error
	poll(ctx, func() bool {
		l.FilesAfter, err1 = openFiles(r.process.pid())
		l.ZombiesAfter, err2 = zombies(r.process.pid())
		return !l.Found()
	})
	return errors.Join(err1, err2)
}

// end ends what was started.
func (r *run) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.DrainTimeout)
	defer cancel()
	err := r.process.terminate(ctx)
	r.drains.Wait()
	if r.Mode != PIDFile {
		return err
	}
	pid, readErr := r.successor()
	if readErr != nil || pid == 0 {
		return errors.Join(err, readErr)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	if !poll(ctx, func() bool { return ended(pid) }) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		err = errors.Join(err, fmt.Errorf("process %d did not end when it was told to, and was killed", pid))
	}
	return err
}

// successor is the process that the file names; 0 when it is none that the command has started.
func (r *run) successor() (int, error) {
	pid, err := readPID(r.PIDFile)
	if err != nil || pid == 0 || ended(pid) {
		return 0, err
	}
	if group, err := syscall.Getpgid(pid); err != nil || group != r.process.pid() {
		return 0, nil
	}
	return pid, nil
}

// pause waits for d and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// prober asks who answers, on a new connection each time: one that is kept would lead to the old worker.
type prober struct {
	url    string
	client http.Client
}

// probeTimeout bounds one question, which may have gone to a process that is about to end.
const probeTimeout = time.Second

func newProber(url string) *prober {
	return &prober{url: url, client: http.Client{Timeout: probeTimeout,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: tlsConfig()}}}
}

func (p *prober) close() { p.client.CloseIdleConnections() }

// ask returns the id of the process that answers; 0 when nobody does.
func (p *prober) ask(ctx context.Context) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return 0
	}
	res, err := p.client.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64))
	if err != nil || res.StatusCode != http.StatusOK {
		return 0
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, _ := strconv.Atoi(first)
	return pid
}
