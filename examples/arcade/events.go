package arcade

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// beat is how often a silent stream shows that it is alive: proxies cut what is silent for a
// minute, and a browser that left without a word is noticed by writing to it.
const beat = 20 * time.Second

// events sends what a game's page shows anew after each event of the game, as Server-Sent
// Events whose ids are the positions of the game. A browser names the last one it saw: it
// misses no state that lasts, and sees none twice.
func (s *site) events(w http.ResponseWriter, r *http.Request) error {
	seen, err := lastSeen(r)
	if err != nil {
		return err
	}
	g, err := s.gameByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if finished(g) && g.GetPosition() == seen {
		// There is nothing more to come: 204 ends an EventSource.
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	watch, err := s.games.WatchGame(ctx, &gamev1.WatchGameRequest{GameId: g.GetId(), AfterPosition: g.GetPosition()})
	if err != nil {
		cancel()
		return relay(err)
	}
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	t := &stream{
		site: s, request: r, out: &eventWriter{w, http.NewResponseController(w)},
		arrivals: make(chan arrival), pulse: pulse{clock: s.clock, c: make(chan struct{}, 1)},
	}
	reader.Go(func() { t.read(ctx, watch) })
	t.pulse.arm()
	defer t.pulse.stop()
	return t.run(ctx, g, seen)
}

// lastSeen is the position up to which the browser has seen the game, 0 for nothing: what an
// EventSource says when it reconnects, or what the page says when it makes one.
func lastSeen(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, wrong("last event id", "want the id of an event, a whole number")
	}
	return n, nil
}

// stream is one browser that watches a game.
type stream struct {
	site     *site
	request  *http.Request
	out      *eventWriter
	arrivals chan arrival
	pulse    pulse
}

// arrival is an event of the game, or why there are no more.
type arrival struct {
	position uint64
	err      error
}

// read hands on the positions of the game's events until ctx ends or there are no more.
func (t *stream) read(ctx context.Context, watch grpc.ServerStreamingClient[gamev1.WatchGameResponse]) {
	for {
		resp, err := watch.Recv()
		select {
		case t.arrivals <- arrival{resp.GetEvent().GetPosition(), err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// run sends g, unless it has been seen, and what becomes of it, until the game ends, the
// browser leaves or the service drains. An error cuts the connection, and the browser comes
// back.
func (t *stream) run(ctx context.Context, g *gamev1.Game, seen uint64) error {
	defer t.out.end()
	gone := t.out.begin()
	for gone == nil {
		if g.GetPosition() != seen {
			if gone = t.send(g); gone != nil {
				break
			}
			seen = g.GetPosition()
		}
		if finished(g) {
			_ = t.out.event("", "end", nil)
			return nil
		}
		next, err := t.next(ctx, g)
		if err != nil || next == nil {
			return err
		}
		g = next
	}
	return nil
}

// next waits for an event and returns the game after it; nil when the stream is to end.
func (t *stream) next(ctx context.Context, g *gamev1.Game) (*gamev1.Game, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-chassis.Draining(ctx):
			return nil, nil // the browser comes back, to whoever serves then
		case <-t.pulse.c:
			t.pulse.arm()
			if t.out.comment("alive") != nil {
				return nil, nil
			}
		case a := <-t.arrivals:
			switch {
			case ctx.Err() != nil, errors.Is(a.err, io.EOF), drains(a.err):
				return nil, nil // if there is more, the browser comes back for it
			case a.err != nil:
				return nil, relay(a.err)
			case a.position > g.GetPosition():
				return t.site.gameByID(ctx, g.GetId())
			}
			// The game was asked for after this event had happened.
		}
	}
}

// send sends what the page shows of g.
func (t *stream) send(g *gamev1.Game) error {
	var b bytes.Buffer
	if err := t.site.pages.fragment.Execute(&b, t.site.view(t.request, g)); err != nil {
		return fmt.Errorf("fragment of a game: %w", err)
	}
	return t.out.event(strconv.FormatUint(g.GetPosition(), 10), "game", b.Bytes())
}

// drains reports whether the game service ended a stream because it stops or is replaced, which
// is no failure: another one goes on.
func drains(err error) bool {
	f, ok := grpcclient.FailureOf(err)
	return ok && f.Set == failure.Draining.Set() && f.Code == failure.Draining.Number()
}

func finished(g *gamev1.Game) bool { return g.GetState() == gamev1.State_STATE_FINISHED }

// pulse sends once after each arm.
type pulse struct {
	clock clock.Clock
	c     chan struct{} // holds one
	timer clock.Timer
}

func (p *pulse) arm() { p.timer = p.clock.AfterFunc(beat, func() { p.c <- struct{}{} }) }

func (p *pulse) stop() { p.timer.Stop() }
