package fake

import (
	"context"
	"hash/maphash"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// MaxCalls is how many recorded calls a fake keeps: the latest.
const MaxCalls = 10_000

// Sent is what the client was sent of a call's answer. It is empty while the call is under way.
type Sent string

// What a client may be sent.
const (
	SentAnswer  Sent = "answer"  // what the handler said, be it a result or a failure
	SentFailure Sent = "failure" // what a fault, or the end of the call's time, put in the answer's place
	SentPart    Sent = "part"    // the beginning of the answer
	SentNothing Sent = "nothing" // nothing of it, as when the client had left
)

// Call is one call that reached a handler's door.
type Call struct {
	Seq       uint64    `json:"seq"`  // 1 for the first call since the start or the last Reset
	Time      time.Time `json:"time"` // by the service's clock
	Listener  string    `json:"listener"`
	Method    string    `json:"method"` // "POST" for gRPC
	Route     string    `json:"route"`  // the matched pattern, or gRPC's full method
	Tenant    string    `json:"tenant,omitempty"`
	RequestID string    `json:"request_id"`

	// Ran reports that the handler ran, or runs; Committed that it succeeded, so that what was
	// asked is done, whatever the client was sent; Failure is the code of its failure, and 0 without.
	Ran       bool `json:"ran"`
	Committed bool `json:"committed"`
	Failure   int  `json:"failure,omitempty"`
	// Sent is what the client was sent, as far as the fake had a hand in it: an answer that the
	// network beyond it lost counts as sent.
	Sent Sent `json:"sent,omitempty"`
	// Duplicate is the Seq of an earlier call with the same method, path, query and body that was
	// committed and whose answer a fault kept from the client: the client, or its transport, has
	// sent it again, and the handler ran twice. 0 is none. Streams have none.
	Duplicate uint64 `json:"duplicate_of,omitempty"`

	// Fault is the rules that struck, in words.
	Fault string `json:"fault,omitempty"`
	// Injected reports that a fault answers the call in the handler's place; Code and
	// Status are the failure's code and HTTP status, and 0 without one.
	Injected bool `json:"injected"`
	Code     int  `json:"code,omitempty"`
	Status   int  `json:"status,omitempty"`
	// Latency is how long faults have the call wait.
	Latency time.Duration `json:"latency_ns,omitempty"`
}

// Calls are the recorded calls in the order of their arrival: the latest [MaxCalls] of them,
// those under way included. HTTP requests that match no route are not recorded.
// The slice is the caller's own.
func (f *Fake) Calls() []Call { return f.calls.all() }

// Duplicates are the recorded calls that repeat one whose answer was lost after it was committed;
// see [Call].Duplicate.
func (f *Fake) Duplicates() []Call {
	duplicates := []Call{}
	for _, c := range f.calls.all() {
		if c.Duplicate != 0 {
			duplicates = append(duplicates, c)
		}
	}
	return duplicates
}

// record is a call with what is needed to tell duplicates. It holds no memory of the request's: what a
// request is made of would live for as long as the record.
type record struct {
	Call
	id     [request.IDLen]byte // RequestID, if that is empty
	print  print
	stream bool
	done   bool
	lost   Sent // what it was sent, when trouble of the connection kept the rest from the client
}

// outcome is how a call has ended.
type outcome struct {
	ran   bool
	err   error // of the handler
	sent  Sent
	print print
}

// pageLen is how many records are made at a time. Growing one slice would copy what it has, and 10,000
// records at once are 3 MB, for a fake that may see ten calls.
const pageLen = 100

// recording keeps the latest calls in a ring, of pages that are made when they are first needed. Calls
// are known to it by a number that goes on when it is cleared, so that one which ends late is not
// taken for another.
type recording struct {
	prints maphash.Seed // of all prints

	mu     sync.Mutex
	last   uint64 // number of the latest call
	base   uint64 // number of the latest call that was cleared
	pages  [MaxCalls / pageLen]*[pageLen]record
	active int // calls under way, streams aside

	lost   lost
	some   atomic.Bool       // there are lost answers
	called map[string]string // routes that were called, by themselves; as many as the service has
}

// slot is where the record of the call is that is the seq-th since the recording was cleared, or of the
// one that takes its place. Its page is there. r.mu is held.
func (r *recording) slot(seq uint64) *record {
	i := (seq - 1) % MaxCalls
	return &r.pages[i/pageLen][i%pageLen]
}

// records are all that are kept, oldest first. r.mu is held.
func (r *recording) records() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		latest := r.last - r.base
		for seq := latest - min(latest, MaxCalls) + 1; seq <= latest; seq++ {
			if !yield(r.slot(seq)) {
				return
			}
		}
	}
}

// begin records a call that has arrived, and whether its handler runs at once, and returns its number.
func (r *recording) begin(now time.Time, ctx context.Context, call *chassis.Call, ran bool) uint64 {
	var id string
	if info := request.From(ctx); info != nil {
		id = info.ID
	}
	tenant, method := strings.Clone(call.Tenant), methodOf(call.Method)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	seq := r.last - r.base
	if !call.Stream {
		r.active++
	}
	if page := &r.pages[(seq-1)%MaxCalls/pageLen]; *page == nil {
		*page = new([pageLen]record)
	}
	c := r.slot(seq)
	if c.Seq != 0 {
		*c = record{}
	}
	c.Seq, c.Time, c.Listener, c.Method, c.Route = seq, now, call.Listener, method, r.route(call.Route)
	c.Tenant, c.Ran, c.stream = tenant, ran, call.Stream
	if len(id) == len(c.id) {
		copy(c.id[:], id)
	} else {
		c.RequestID = strings.Clone(id)
	}
	return r.last
}

// route is the route, which was called, in memory of the recording's. r.mu is held.
func (r *recording) route(route string) string {
	if own, known := r.called[route]; known {
		return own
	}
	if r.called == nil {
		r.called = map[string]string{}
	}
	own := strings.Clone(route)
	r.called[own] = own
	return own
}

// methodOf is an HTTP method, which is a part of the request's first line, in memory of its own.
func methodOf(method string) string {
	for _, known := range [...]string{"POST", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"} {
		if method == known {
			return known
		}
	}
	return strings.Clone(method)
}

// at is the record of call n, nil if it is forgotten. r.mu is held.
func (r *recording) at(n uint64) *record {
	if n <= r.base {
		return nil
	}
	seq := n - r.base
	if c := r.slot(seq); c.Seq == seq {
		return c
	}
	return nil
}

// run records that the handler of call n is about to run.
func (r *recording) run(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.at(n); c != nil {
		c.Ran = true
	}
}

// strike records which faults have struck call n, and what they answer.
func (r *recording) strike(n uint64, latency time.Duration, rules string, err *failure.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.at(n)
	if c == nil {
		return
	}
	if c.Fault != "" {
		rules = c.Fault + "; " + rules
	}
	c.Fault = rules
	c.Latency += latency
	if err != nil {
		c.Injected, c.Code, c.Status = true, err.Code().Number(), err.HTTPStatus()
	}
}

// end records how call n has ended.
func (r *recording) end(n uint64, call *chassis.Call, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.base && !call.Stream {
		r.active--
	}
	c := r.at(n)
	if c == nil {
		return
	}
	c.done, c.Ran, c.print = true, o.ran, o.print
	c.Committed = o.ran && o.err == nil
	if o.err != nil {
		c.Failure = failure.From(o.err).Code().Number()
	}
	if c.Sent = o.sent; c.lost != "" {
		c.Sent = c.lost
	}
	if c.print == 0 {
		return
	}
	c.Duplicate = r.lost.find(c.print, c.Seq)
	r.remember(c)
}

// remember keeps the print of a call that was committed and not answered. r.mu is held.
func (r *recording) remember(c *record) {
	if c.done && c.Committed && c.print != 0 && c.Sent != SentAnswer {
		r.lost.add(c.print, c.Seq)
		r.some.Store(true)
		// An answer may be lost while its handler still writes it, and the next call be over sooner.
		for later := range r.records() {
			if later.Seq > c.Seq && later.print == c.print && later.Duplicate == 0 {
				later.Duplicate = c.Seq
			}
		}
	}
}

// lose records that the client is sent no more of call n than sent.
func (r *recording) lose(n uint64, sent Sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.at(n); c != nil {
		if c.lost = sent; c.done {
			c.Sent = sent
		}
		r.remember(c)
	}
}

// found records that the client is sent what was kept back of call n.
func (r *recording) found(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.at(n); c != nil && c.lost != "" {
		if c.lost = ""; c.done {
			c.Sent = SentAnswer
		}
		r.lost.remove(c.print, c.Seq)
	}
}

// printing reports whether calls need a print, so that they can be told from lost ones.
func (r *recording) printing() bool { return r.some.Load() }

func (r *recording) all() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := make([]Call, 0, min(r.last-r.base, MaxCalls))
	for c := range r.records() {
		call := c.Call
		if c.id != [request.IDLen]byte{} {
			call.RequestID = string(c.id[:])
		}
		calls = append(calls, call)
	}
	return calls
}

func (r *recording) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base, r.active, r.lost = r.last, 0, lost{}
	clear(r.pages[:])
	r.some.Store(false)
}
