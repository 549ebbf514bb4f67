package journaltest

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var subscribeRules = []rule{
	{
		promise: "a subscription goes on from any position without a gap",
		why:     "a client that reconnects misses nothing and sees nothing twice",
		check:   checkSubscribeFrom,
	},
	{
		promise: "a subscription waits, wakes and ends with its context",
		why:     "watchers live as long as their request, and cost nothing while nothing happens",
		check:   checkSubscribeLife,
	},
	{
		promise: "a slow subscriber skips nothing and holds nothing up",
		why:     "one client on a bad line must not be everybody's problem",
		check:   checkSlowSubscriber,
	},
	{
		promise: "a subscription sees what its filter selects",
		why:     "a watcher of one game is not told of the others",
		check:   checkSubscribeFilter,
	},
}

// A watcher is a subscription in a goroutine of its own.
type watcher struct {
	p      *probe
	cancel context.CancelFunc
	events chan journal.Recorded // unbuffered: the subscription is as slow as the rule
	end    chan error            // how it ended, nil if without an error
}

func (p *probe) watch(after journal.Position, f journal.Filter) *watcher {
	ctx, cancel := context.WithCancel(p.ctx)
	w := &watcher{p: p, cancel: cancel, events: make(chan journal.Recorded), end: make(chan error, 1)}
	p.Cleanup(cancel)
	go func() {
		var end error
		for e, err := range p.Subscribe(ctx, after, f) {
			if err != nil {
				end = err
				continue
			}
			select {
			case w.events <- e:
			case <-ctx.Done():
			}
		}
		w.end <- end
	}()
	return w
}

// next returns the next event.
func (w *watcher) next() journal.Recorded {
	w.p.Helper()
	select {
	case e := <-w.events:
		return e
	case err := <-w.end:
		w.p.Fatalf("the subscription ended with %v where an event was due", err)
	case <-w.p.ctx.Done():
		w.p.Fatal("the subscription yields no event although there is one")
	}
	return journal.Recorded{}
}

// want checks that the next event says data.
func (w *watcher) want(data string) journal.Position {
	w.p.Helper()
	e := w.next()
	if string(e.Data) != data {
		w.p.Fatalf("the subscription yields %q, want %q", e.Data, data)
	}
	return e.Position
}

func checkSubscribeFrom(p *probe) {
	at := p.scatter(9)
	for from, after := range map[int]journal.Position{0: 0, 5: at[4], 9: at[8]} {
		w := p.watch(after, journal.Filter{})
		for i := from; i < 9; i++ {
			if pos := w.want(fmt.Sprint(i)); pos != at[i] {
				p.Fatalf("a subscription has event %d at %d, want %d", i, pos, at[i])
			}
		}
		defer func() { w.want("one more"); w.want("two more") }()
	}
	p.must("new", journal.NoStream, event("one more"))
	p.must("stream-0", journal.Any, event("two more"))
}

func checkSubscribeLife(p *probe) {
	w := p.watch(0, journal.Filter{})
	for i := range 5 {
		p.must("s", journal.Any, event(fmt.Sprint(i)))
		w.want(fmt.Sprint(i))
	}
	w.cancel()
	select {
	case err := <-w.end:
		if !errors.Is(err, context.Canceled) {
			p.Errorf("a cancelled subscription ends with %v, want context.Canceled", err)
		}
	case e := <-w.events:
		p.Errorf("a cancelled subscription yields %q", e.Data)
	case <-p.ctx.Done():
		p.Error("a cancelled subscription does not end")
	}
	p.must("s", journal.Any, event("nobody listens"))
}

func checkSlowSubscriber(p *probe) {
	w := p.watch(0, journal.Filter{})
	const n = 1500
	for i := 0; i < n; i += 50 {
		events := numbered(50)
		for k := range events {
			events[k] = event(fmt.Sprint(i + k))
		}
		p.must("s", journal.Any, events...) // while the watcher stands still
		w.want(fmt.Sprint(i / 50))
	}
	for i := n / 50; i < n; i++ {
		w.want(fmt.Sprint(i))
	}
}

func checkSubscribeFilter(p *probe) {
	streams := map[string]*watcher{
		"one":    p.watch(0, journal.Filter{Stream: "game-7"}),
		"prefix": p.watch(0, journal.Filter{StreamPrefix: "game-"}),
		"types":  p.watch(0, journal.Filter{Types: []string{"noted"}}),
	}
	for i := range 600 {
		stream := "noise"
		switch i {
		case 0, 300, 599:
			stream = "game-7"
		case 100, 400:
			stream = "game-8"
		}
		e := journal.Event{Type: "noise", Data: []byte(fmt.Sprint(i))}
		if stream != "noise" {
			e.Type = "noted"
		}
		p.must(stream, journal.Any, e)
	}
	for _, d := range []string{"0", "300", "599"} {
		streams["one"].want(d)
	}
	for _, d := range []string{"0", "100", "300", "400", "599"} {
		streams["prefix"].want(d)
		streams["types"].want(d)
	}
}
