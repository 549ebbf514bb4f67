package lossbench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say who asks what.
type Options struct {
	// Addresses ("host:port") of the three listeners of package target, or of a service with the same
	// routes. Only those are needed that the protocols use.
	HTTP, HTTPS, GRPC string
	// URLs are asked by the protocol "get", HealthAddr ("host:port" of a gRPC listener) by "health".
	URLs       []string
	HealthAddr string
	// Protocols are names of [Protocols]; nil is all of them that an address is given for.
	Protocols []string
	// Rate is how many requests a second all protocols have together, without "get" and "health", which
	// have a tenth of it each; fewer protocols have fewer. 0 is [DefaultRate].
	Rate float64
	// Idle is the longest time between two requests on a connection of "h1-idle" and those with TLS;
	// 0 is 1.5 s.
	Idle time.Duration
	// Delay is the one-way distance between clients and service.
	Delay time.Duration
	// Timeout is how long a client waits for an answer; 0 is 5 s.
	Timeout time.Duration
	Seed    uint64 // of the clients' randomness
	// Answered, if not nil, is told of each request that was answered as it should be. It is called by the
	// clients, many at a time, and must not block. Requests that fail are in the results alone.
	Answered func(Answer)
}

// Answer is what a client knows of a request that was answered.
type Answer struct {
	// ID is what the service calls the request, by its header X-Request-Id; empty where it says nothing, and of
	// streams and websockets, which have more answers than one.
	ID string
	// Sent and Received are when the client began with it, dialing included, and when it had the whole answer.
	Sent, Received time.Time
}

// DefaultRate is the default of Options.Rate.
const DefaultRate = 1500

// A Protocol is one kind of client.
type Protocol struct {
	Name     string
	Doc      string
	needs    func(*Options) bool // is there an address to ask?
	clients  int                 // at DefaultRate
	interval time.Duration       // mean time from one request of a client to its next; 0: the client's own
	run      func(*client)
}

// Protocols lists the kinds of clients in the order of the table.
func Protocols() []Protocol {
	http := func(o *Options) bool { return o.HTTP != "" }
	https := func(o *Options) bool { return o.HTTPS != "" }
	grpc := func(o *Options) bool { return o.GRPC != "" }
	return []Protocol{
		{"h1", "HTTP/1.1, busy keep-alive connections, POST", http, 16, 40 * time.Millisecond, (*client).http1Busy},
		{"h1-idle", "HTTP/1.1, connections used again after a random time", http, 150, 0, (*client).http1Idle},
		{"h1-fresh", "HTTP/1.1, a connection for each request", http, 5, 50 * time.Millisecond, (*client).http1Fresh},
		{"h2c-post", "HTTP/2 without TLS, bodies that cannot be sent again", http, 2, 50 * time.Millisecond, (*client).h2cPost},
		{"h2c-get", "HTTP/2 without TLS, GET", http, 2, 50 * time.Millisecond, (*client).h2cGet},
		{"tls-h1", "HTTP/1.1 over TLS, keep-alive, POST", https, 5, 50 * time.Millisecond, (*client).tlsHTTP1},
		{"tls-h1-idle", "HTTP/1.1 over TLS, connections used again after a random time", https, 30, 0, (*client).tlsHTTP1Idle},
		{"tls-h2", "HTTP/2 over TLS, bodies that cannot be sent again", https, 2, 50 * time.Millisecond, (*client).tlsHTTP2},
		{"tls-h2-idle", "HTTP/2 over TLS, connections used again after a random time", https, 10, 0, (*client).tlsHTTP2Idle},
		{"grpc", "gRPC, unary calls", grpc, 8, 40 * time.Millisecond, (*client).grpcUnary},
		{"grpc-bidi", "gRPC, a stream whose messages are all acknowledged", grpc, 4, 40 * time.Millisecond, (*client).grpcBidi},
		{"sse", "Server-Sent Events", http, 4, 0, (*client).serverSentEvents},
		{"ws", "websocket, echo", http, 4, 80 * time.Millisecond, (*client).websocket},
		{"get", "GET of the given URLs, HTTP/1.1 keep-alive", func(o *Options) bool { return len(o.URLs) > 0 }, 8, 50 * time.Millisecond, (*client).get},
		{"health", "grpc.health.v1 Check", func(o *Options) bool { return o.HealthAddr != "" }, 4, 25 * time.Millisecond, (*client).health},
	}
}

// Load is clients at work. Stop it.
type Load struct {
	options Options
	dialer  Dialer
	windows windows
	context context.Context // ends with Stop
	stop    <-chan struct{} // closed by Stop
	cancel  context.CancelFunc
	clients sync.WaitGroup
	names   []string
	stats   map[string]*stats
}

// Start starts the clients. The error says which option makes no sense; whether anybody answers is seen
// in the results only.
func Start(o Options) (*Load, error) {
	protocols, err := o.complete()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{options: o, dialer: Dialer{Delay: o.Delay, Timeout: o.Timeout},
		context: ctx, stop: ctx.Done(), cancel: cancel, stats: map[string]*stats{}}
	var number uint64
	for _, p := range protocols {
		s := newStats(&l.windows)
		s.answered = o.Answered
		l.names = append(l.names, p.Name)
		l.stats[p.Name] = s
		for range max(1, int(math.Round(float64(p.clients)*o.Rate/DefaultRate))) {
			number++
			c := &client{load: l, stats: s, interval: p.interval, rand: rand.New(rand.NewPCG(o.Seed, number))}
			l.clients.Go(func() { p.run(c) })
		}
	}
	return l, nil
}

// complete fills in defaults and finds the protocols.
func (o *Options) complete() ([]Protocol, error) {
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Idle == 0 {
		o.Idle = 1500 * time.Millisecond
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	switch {
	case o.Rate < 0 || o.Rate > 1e6:
		return nil, fmt.Errorf("rate %v: want more than 0 and at most a million requests a second", o.Rate)
	case o.Idle < 0 || o.Timeout < 0 || o.Delay < 0:
		return nil, errors.New("a time is negative")
	case o.Delay > time.Second:
		return nil, fmt.Errorf("delay %v: want at most a second", o.Delay)
	}
	for _, addr := range []string{o.HTTP, o.HTTPS, o.GRPC, o.HealthAddr} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("address of a listener: %w", err)
		}
	}
	for _, text := range o.URLs {
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("URL %q: want http://host:port/path or https://", text)
		}
	}
	return o.protocols()
}

func (o *Options) protocols() ([]Protocol, error) {
	all := Protocols()
	var chosen []Protocol
	for _, p := range all {
		asked := slices.Contains(o.Protocols, p.Name)
		switch served := p.needs(o); {
		case asked && !served:
			return nil, fmt.Errorf("protocol %s: there is no address to ask", p.Name)
		case asked, o.Protocols == nil && served:
			chosen = append(chosen, p)
		}
	}
	for _, name := range o.Protocols {
		if !slices.ContainsFunc(all, func(p Protocol) bool { return p.Name == name }) {
			return nil, fmt.Errorf("unknown protocol %q; there are %s", name, strings.Join(Names(all), ", "))
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("no protocol: no address is given that anybody asks")
	}
	return chosen, nil
}

// Names are the names of protocols.
func Names(protocols []Protocol) []string {
	var names []string
	for _, p := range protocols {
		names = append(names, p.Name)
	}
	return names
}

// BeginReload has answers count as given in a reload, until a second after EndReload. Streams may be opened
// anew once for each reload that has begun.
func (l *Load) BeginReload() { l.windows.begin() }

// EndReload says that the reload is done.
func (l *Load) EndReload() { l.windows.end() }

// Stop lets the clients finish what they are at, closes their connections and returns the results in the
// order of [Protocols]. Stopping twice is harmless.
func (l *Load) Stop() []Result {
	l.cancel()
	l.clients.Wait()
	return l.Results()
}

// Results are the figures so far.
func (l *Load) Results() []Result {
	var results []Result
	for _, name := range l.names {
		results = append(results, l.stats[name].result(name))
	}
	return results
}
