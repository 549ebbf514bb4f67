package overloadbench

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Protocol is what users speak.
type Protocol string

// The protocols.
const (
	HTTP Protocol = "http" // HTTP/1.1
	GRPC Protocol = "grpc"
)

// Protocols are all.
func Protocols() []Protocol { return []Protocol{HTTP, GRPC} }

// Client is what users ask with. All grant an attempt as much time as there is until the deadline.
type Client string

// The clients.
const (
	None     Client = "none"     // net/http or grpc-go, without retries
	Defaults Client = "defaults" // go-retryablehttp by its defaults; go-grpc-middleware's retry with WithMax(5)
	Ours     Client = "ours"     // chassis/client or chassis/grpcclient by its defaults
)

// Clients are all.
func Clients() []Client { return []Client{None, Defaults, Ours} }

// A Server is what is asked.
type Server struct {
	Name string
	// Gated has it held to the gates.
	Gated bool
	// Command starts it. It is to serve p at addr, and what package work says at debug.
	Command func(o *Options, p Protocol, addr, debug string) []string
}

// Servers are all, of programs in the directory bin.
func Servers(bin string) []Server {
	peer := func(name, stack string) Server {
		return Server{Name: name, Command: func(o *Options, p Protocol, addr, debug string) []string {
			return []string{filepath.Join(bin, "overloadpeers"), "-stack=" + stack, "-protocol=" + string(p), "-addr=" + addr, "-debug=" + debug,
				"-workers=" + strconv.Itoa(o.Workers), "-mean=" + o.Mean.String()}
		}}
	}
	return []Server{
		{Name: "ours", Gated: true, Command: func(o *Options, p Protocol, addr, debug string) []string {
			return ours([]string{filepath.Join(bin, "overloadd")}, o, p, addr, debug)
		}},
		peer("unbounded", "bare"),
		peer("failsafe-go", "failsafe"),
		peer("go-zero", "gozero"),
		peer("go-zero, eager", "gozero-eager"),
	}
}

// ours appends to the command of the service on the chassis its flags: sized as docs/overload.md says.
func ours(command []string, o *Options, p Protocol, addr, debug string) []string {
	other := map[Protocol]Protocol{HTTP: GRPC, GRPC: HTTP}[p]
	listener := "-" + string(p)
	return append(command, "-inprocess", listener+".addr="+addr, "-"+string(other)+".addr=127.0.0.1:0", "-debug.addr="+debug, "-access_log.path=off",
		fmt.Sprintf("-workers=%d", o.Workers), "-mean="+o.Mean.String(), "-deadline="+o.Deadline.String(),
		fmt.Sprintf("%s.admission.workers=%d", listener, o.Workers), fmt.Sprintf("%s.admission.capacity=%d", listener, o.capacity()),
		listener+".admission.max_wait="+o.Deadline.String())
}

// Options say what is measured. A zero field means its default.
type Options struct {
	Servers   []Server   // required
	Clients   []Client   // all; servers that are not gated are asked by None and Defaults only
	Protocols []Protocol // both
	Loads     []float64  // multiples of the capacity: 1, 2, 5, 10

	// Small is how many tenants ask for little besides while one, the hog, asks for the load: each for a twentieth of
	// the capacity. All have clients of their own. 0 is for none.
	Small int

	Workers  int           // how much the pool does at a time: 4
	Mean     time.Duration // how long work takes on average: 20 ms; half of it to one and a half
	Deadline time.Duration // how long a user waits: 100 ms

	Before   time.Duration // at 0.7 of the capacity: 1 s
	Overload time.Duration // at the load: 3 s
	After    time.Duration // at 0.7 again; 2 s, and no less

	Seed uint64 // of when users come: 1

	// Progress is called with each result. nil is for nobody.
	Progress func(Result)
}

func (o *Options) setDefaults() {
	if len(o.Clients) == 0 {
		o.Clients = Clients()
	}
	if len(o.Protocols) == 0 {
		o.Protocols = Protocols()
	}
	if len(o.Loads) == 0 {
		o.Loads = []float64{1, 2, 5, 10}
	}
	set(&o.Workers, 4)
	set(&o.Mean, 20*time.Millisecond)
	set(&o.Deadline, 100*time.Millisecond)
	set(&o.Before, time.Second)
	set(&o.Overload, 3*time.Second)
	o.After = max(o.After, 2*time.Second)
	set(&o.Seed, 1)
	if o.Progress == nil {
		o.Progress = func(Result) {}
	}
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// rate is how much the workers can do, in requests a second.
func (o *Options) rate() float64 { return float64(o.Workers) / o.Mean.Seconds() }

// capacity is how many places docs/overload.md gives such a queue.
func (o *Options) capacity() int { return o.Workers * int(o.Deadline*6/10/o.Mean) }

// validate refuses what would be measured in vain.
func (o *Options) validate() error {
	switch {
	case len(o.Servers) == 0:
		return fmt.Errorf("no server to measure")
	case o.Workers < 0 || o.Mean < 0 || o.Deadline < o.Mean*5/3:
		return fmt.Errorf("want a deadline of at least 5/3 of the mean, for a place to wait in, and at least one worker; got deadline %v, mean %v, %d workers", o.Deadline, o.Mean, o.Workers)
	case o.Small < 0 || float64(o.Small)*smallShare >= 1:
		return fmt.Errorf("want from 0 to %.0f small tenants, which together ask for less than the capacity; got %d", 1/smallShare-1, o.Small)
	case slices.Max(o.Loads)*o.rate() > maxRate || slices.Min(o.Loads) <= 0:
		return fmt.Errorf("want loads of more than 0 and at most %d requests a second, which one process can offer; got %v of %.0f", maxRate, o.Loads, o.rate())
	}
	for _, c := range o.Clients {
		if !slices.Contains(Clients(), c) {
			return fmt.Errorf("no client %q: want one of %v", c, Clients())
		}
	}
	for _, p := range o.Protocols {
		if !slices.Contains(Protocols(), p) {
			return fmt.Errorf("no protocol %q: want one of %v", p, Protocols())
		}
	}
	return nil
}
