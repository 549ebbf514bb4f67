package report

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what a report keeps of a log, whatever stands there.
const (
	maxBadLines  = 10  // lines not understood that are shown
	maxBadText   = 200 // bytes of one
	maxFailures  = 1000
	slowPerRoute = 3
	maxTarget    = 200 // bytes of a target or an id that are kept
	maxMethod    = 24
)

// Options say what a report is of. The zero value has defaults for all.
type Options struct {
	// Routes is how many routes are counted one by one; 0 is 2000. Each takes 3 to 10 KiB.
	Routes int
	// Slowest is how many of the slowest requests are kept; 0 is 20, and less is none.
	Slowest int
	// Clients is how many of the clients that ask most are shown; 0, the default, keeps none.
	Clients int
	// From and To bound the time that requests began, in µs since 1970: from From up to but without To. 0 is
	// no bound.
	From, To int64
	// Query has the slowest requests shown with what stands behind the ? of their targets.
	Query bool
}

// A Collector adds up hits. It is not safe for concurrent use.
type Collector struct {
	options Options
	lines   uint64
	bad     uint64
	badOnes []BadLine
	outside uint64

	total    traffic
	statuses [1000]uint64
	failures map[int]uint64
	unlisted uint64 // failure codes beyond maxFailures
	line     timeline
	first    int64
	last     int64
	routes   *top[traffic]
	others   traffic
	clients  *top[struct{}]
	routed   bool // routes are patterns of the service

	key []byte
}

// traffic is what a route, or all, did.
type traffic struct {
	hits, bytes          uint64
	errors, clientErrors uint64
	classes              [6]uint64 // by the first digit of the status, 0 for none
	taken                Histogram
	slow                 slowest
}

// slowest are the slowest of requests, the fastest of them in front.
type slowest []Slow

// NewCollector returns an empty one.
func NewCollector(o Options) *Collector {
	o.Routes = cmp.Or(o.Routes, 2000)
	o.Slowest = cmp.Or(o.Slowest, 20)
	c := &Collector{options: o, failures: map[int]uint64{}}
	c.routes = newTop(o.Routes, (*traffic).reset, func(_ string, t *traffic) { c.others.merge(t) })
	if o.Clients > 0 {
		c.clients = newTop(max(1000, 10*o.Clients), func(*struct{}) {}, func(string, *struct{}) {})
	}
	return c
}

// Bad counts a line of a file that was not understood; line is its number, from 1.
func (c *Collector) Bad(file string, line uint64, text []byte, err error) {
	c.lines++
	c.bad++
	if len(c.badOnes) == maxBadLines {
		return
	}
	b := BadLine{File: file, Line: line, Column: 1, Reason: err.Error(), Text: clip(text, maxBadText)}
	if e, ok := errors.AsType[*LineError](err); ok {
		b.Column, b.Reason = e.Column, e.Reason
	}
	c.badOnes = append(c.badOnes, b)
}

// Add counts a hit, read from a line of layout l.
func (c *Collector) Add(l *Layout, h *Hit) {
	c.lines++
	if l.Dated() {
		if h.Time < c.options.From && c.options.From != 0 || h.Time >= c.options.To && c.options.To != 0 {
			c.outside++
			return
		}
	}
	failed, refused := h.failed()
	if l.Dated() {
		if c.total.hits == 0 {
			c.first, c.last = h.Time, h.Time
		}
		c.first, c.last = min(c.first, h.Time), max(c.last, h.Time)
		b := c.line.at(h.Time)
		b.hits++
		if failed {
			b.errors++
		}
		if refused {
			b.clientErrors++
		}
		b.bytes += uint64(max(h.Bytes, 0))
		if h.Taken >= 0 {
			b.taken.Add(uint64(h.Taken))
		}
	}
	c.total.add(h, failed, refused)
	c.statuses[h.Status]++
	if h.Failure > 0 {
		if _, known := c.failures[h.Failure]; known || len(c.failures) < maxFailures {
			c.failures[h.Failure]++
		} else {
			c.unlisted++
		}
	}
	c.key = c.appendKey(c.key[:0], l, h)
	t := c.routes.hit(c.key)
	t.add(h, failed, refused)
	if h.Taken >= 0 {
		c.total.slow.offer(c, h, c.options.Slowest)
		t.slow.offer(c, h, min(slowPerRoute, c.options.Slowest))
	}
	if c.clients != nil {
		c.clients.hit(h.Client)
	}
}

// appendKey appends the name of the hit's route.
func (c *Collector) appendKey(dst []byte, l *Layout, h *Hit) []byte {
	switch {
	case l.has[kindRoute] && h.Route == nil:
		return append(dst, "(no route)"...)
	case l.has[kindRoute]:
		c.routed = true
		// A pattern of net/http may name its method.
		if len(h.Method) > 0 && bytes.IndexByte(h.Route, ' ') < 0 {
			dst = append(append(dst, h.Method[:min(len(h.Method), maxMethod)]...), ' ')
		}
		return append(dst, h.Route[:min(len(h.Route), maxRoute)]...)
	case h.Target == nil:
		return append(dst, "(no request)"...)
	case h.Method == nil && l.has[kindLine] || len(h.Method) > maxMethod:
		return append(dst, "(no request line)"...) // other protocols, attacks
	}
	if h.Method != nil {
		dst = append(append(dst, h.Method...), ' ')
	}
	target := h.Target
	if i := bytes.Index(target, []byte("://")); i > 0 && i < 8 { // a proxy's form, and that of gRPC behind some
		if n := bytes.IndexByte(target[i+3:], '/'); n >= 0 {
			target = target[i+3+n:]
		}
	}
	return appendRoute(dst, target)
}

// failed reports whether the request failed by fault of the service, or was refused by that of the client. A
// gRPC call has the status 200 whatever its answer; its own status counts then, as google.rpc.Code maps them
// to those of HTTP.
func (h *Hit) failed() (failed, refused bool) {
	if h.GRPC > 0 {
		switch h.GRPC {
		case 2, 4, 12, 13, 14, 15: // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
			return true, false
		}
		return false, true
	}
	return h.Status >= 500, h.Status >= 400 && h.Status < 500
}

func (t *traffic) add(h *Hit, failed, refused bool) {
	t.hits++
	if h.Bytes > 0 {
		t.bytes += uint64(h.Bytes)
	}
	if failed {
		t.errors++
	}
	if refused {
		t.clientErrors++
	}
	t.classes[min(h.Status/100, len(t.classes)-1)]++
	if h.Taken >= 0 {
		t.taken.Add(uint64(h.Taken))
	}
}

func (t *traffic) merge(o *traffic) {
	t.hits += o.hits
	t.bytes += o.bytes
	t.errors += o.errors
	t.clientErrors += o.clientErrors
	for i, n := range o.classes {
		t.classes[i] += n
	}
	t.taken.Merge(&o.taken)
}

func (t *traffic) reset() {
	taken, slow := t.taken, t.slow[:0]
	taken.Reset()
	*t = traffic{taken: taken, slow: slow}
}

// offer keeps h if it is one of the n slowest.
func (s *slowest) offer(c *Collector, h *Hit, n int) {
	if n <= 0 || len(*s) == n && uint64(h.Taken) <= (*s)[0].Taken {
		return
	}
	target := h.Target
	if i := bytes.IndexByte(target, '?'); i >= 0 && !c.options.Query {
		target = target[:i]
	}
	one := Slow{
		Time: h.Time, Taken: uint64(h.Taken), Status: h.Status, Failure: max(h.Failure, 0), Method: clip(h.Method, maxMethod), Target: clip(target, maxTarget),
		RequestID: clip(h.RequestID, maxTarget), ErrorID: clip(h.ErrorID, maxTarget),
	}
	if len(*s) == n {
		*s = slices.Delete(*s, 0, 1)
	}
	at, _ := slices.BinarySearchFunc(*s, one.Taken, func(s Slow, taken uint64) int { return cmp.Compare(s.Taken, taken) })
	*s = slices.Insert(*s, at, one)
}

// clip is text of at most so many bytes that any terminal and page can show.
func clip(text []byte, most int) string {
	cut := len(text) > most
	if cut {
		text = text[:most]
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '�'
		}
		return r
	}, string(text))
	if cut {
		s += "…"
	}
	return s
}
