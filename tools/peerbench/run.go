package peerbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// Options say what is measured and how. The zero value of a field means its default.
type Options struct {
	Protocol Protocol // HTTP1 by default
	Peers    []Peer   // the first is the base of the others
	Rounds   int      // through all peers, 40 by default
	// Duration is how long a server is measured in a round, 250 ms by default: other machines on the same
	// hardware come and go within seconds, and what is compared should have had the same of them. Warmup is
	// how long each is loaded before the first round, 500 ms by default.
	Duration, Warmup time.Duration
	// Rate is the requests a second that are offered; 0 saturates the server. Half, unless there is a
	// Rate, makes it half of what the first peer answers when it is saturated.
	Rate float64
	Half bool
	// ServerCPU and LoadCPU are the numbers of the processors. The same number is allowed, for machines
	// that have one; then only times per request mean something.
	ServerCPU, LoadCPU int
	// Progress is called after each round; nil for nothing.
	Progress func(round int)
}

func (o *Options) setDefaults() error {
	set(&o.Protocol, HTTP1)
	set(&o.Rounds, 40)
	set(&o.Duration, 250*time.Millisecond)
	set(&o.Warmup, 500*time.Millisecond)
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
	if !slices.Contains(Protocols(), o.Protocol) {
		return fmt.Errorf("unknown protocol %q: want one of %v", o.Protocol, Protocols())
	}
	if len(o.Peers) == 0 {
		return errors.New("no peers to measure")
	}
	if o.Rounds < 0 || o.Duration < 0 || o.Warmup < 0 || o.Rate < 0 {
		return errors.New("rounds, times and rate: want more than 0")
	}
	return nil
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// startEstimate is about how long a server, or the load, takes to start.
const startEstimate = 50 * time.Millisecond

// Estimate is about how long Run takes with o.
func (o Options) Estimate() time.Duration {
	if err := o.setDefaults(); err != nil {
		return 0
	}
	return time.Duration(len(o.Peers)) * (2*startEstimate + o.Warmup + time.Duration(o.Rounds)*(o.Duration+startEstimate))
}

// A Sample is what a request took in one round, on average.
type Sample struct {
	Requests     int           // that were answered
	Bad          int           // of them, with another answer than was wanted
	Rate         float64       // answers a second
	User, System time.Duration // processor time of the server, for one request
	Allocs       float64       // objects on the heap, for one request; 0 when unknown
	AllocBytes   float64       // that these took
	Resident     int64         // bytes of memory that the server had in the end
	P50, P99     time.Duration // from sending a request to its answer's end; 0 when saturated
}

// CPU is the processor time of one request.
func (s Sample) CPU() time.Duration { return s.User + s.System }

// Run measures, and returns what it has measured of complete rounds, also when ctx ends. All servers run
// from the beginning to the end; that they have little to do but for one of them is seen to by who calls. It is not to
// be called twice at a time.
func Run(ctx context.Context, o Options) (r *Result, err error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "peerbench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{Options: o}
	defer b.stop()
	r = newResult(o)
	for _, p := range o.Peers {
		if err := b.start(ctx, dir, p); err != nil {
			return r, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if o.Half && o.Rate == 0 {
		s, err := b.sample(ctx, b.servers[0], 0)
		if err != nil {
			return r, err
		}
		b.Rate = s.Rate / 2
		r.Offered = b.Rate
	}
	for round := range o.Rounds {
		samples := make([]Sample, len(o.Peers))
		for i := range o.Peers {
			// Each round begins with another peer, so that none is always the first, or always
			// just after the heaviest.
			i = (i + round) % len(o.Peers)
			if samples[i], err = b.sample(ctx, b.servers[i], b.Rate); err != nil {
				return r, fmt.Errorf("round %d: %s: %w", round+1, o.Peers[i].Name, err)
			}
		}
		r.add(samples)
		o.Progress(round + 1)
	}
	return r, nil
}

type bench struct {
	Options
	servers []*server // of Peers
}

func (b *bench) stop() {
	for _, s := range b.servers {
		s.stop()
	}
}

// start starts the server of p, asks it once and warms it up.
func (b *bench) start(ctx context.Context, parent string, p Peer) (err error) {
	var at Place
	if at.Dir, err = os.MkdirTemp(parent, ""); err != nil {
		return err
	}
	if b.Protocol == H2 {
		if at.Cert, at.Key, err = lossbench.WriteCertificate(at.Dir); err != nil {
			return err
		}
	}
	addrs, err := port.Addrs(2)
	if err != nil {
		return err
	}
	at.Addr, at.Debug = addrs[0], addrs[1]
	s, err := start(ctx, p, at, b.ServerCPU)
	if err != nil {
		return err
	}
	b.servers = append(b.servers, s)
	if err := check(ctx, b.Protocol, at.Addr); err != nil {
		return err
	}
	_, err = load{protocol: b.Protocol, duration: b.Warmup, cpu: b.LoadCPU}.run(ctx, at.Addr, at.Dir)
	return err
}

// sample measures one server for one round.
func (b *bench) sample(ctx context.Context, s *server, rate float64) (Sample, error) {
	var before, after usage
	if err := errors.Join(s.heap(ctx, &before), s.kernel(&before)); err != nil {
		return Sample{}, err
	}
	out, err := load{protocol: b.Protocol, duration: b.Duration, rate: rate, cpu: b.LoadCPU}.run(ctx, s.Addr, s.Dir)
	if err != nil {
		return Sample{}, err
	}
	if err := errors.Join(s.kernel(&after), s.heap(ctx, &after)); err != nil {
		return Sample{}, err
	}
	n := out.requests
	return Sample{
		Requests: n, Bad: out.bad, Rate: float64(n) / out.span.Seconds(),
		User: (after.user - before.user) / time.Duration(n), System: (after.system - before.system) / time.Duration(n),
		Allocs: float64(after.mallocs-before.mallocs) / float64(n), AllocBytes: float64(after.bytes-before.bytes) / float64(n),
		Resident: after.resident, P50: out.p50, P99: out.p99,
	}, nil
}
