package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/api"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
)

const (
	// heartbeat is how often a comment is sent when nothing happens: proxies cut connections
	// that are silent for a minute or so.
	heartbeat = 15 * time.Second
	// writeTime is how long a reader may keep a write waiting before it is cut off.
	writeTime = 30 * time.Second
)

// events streams a game as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
// Each event's id is its position, so that a browser which reconnects continues where it was;
// one that asks again after a game's last event is told by 204 to stop asking. When the service
// drains, an event called moving is the last one: the browser reconnects by itself.
func events(games *arena.Arena, clk clock.Clock) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		after, err := afterPosition(r)
		if err != nil {
			return err
		}
		watch, err := games.Watch(r.Context(), r.PathValue("game_id"), after)
		if err != nil {
			return err
		}
		defer watch.Close()
		s := &stream{w: w, control: http.NewResponseController(w)}
		news, more := watch.Next()
		if more == nil && len(news) == 0 && after > 0 {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
		s.begin()
		s.printf("retry: 1000\n\n")
		beat := make(chan struct{}, 1)
		wake := func() {
			select {
			case beat <- struct{}{}:
			default:
			}
		}
		for {
			for _, e := range news {
				s.send(api.Event(e))
			}
			if s.flush(); s.err != nil {
				return failure.CallerLeft.Wrap(s.err)
			}
			if more == nil {
				return nil
			}
			var silent, moving bool
			timer := clk.AfterFunc(heartbeat, wake)
			select {
			case <-more:
			case <-beat:
				silent = true
			case <-chassis.Draining(r.Context()):
				moving = true
			case <-r.Context().Done():
				timer.Stop()
				return nil
			}
			timer.Stop()
			s.begin()
			switch {
			case moving:
				s.printf("event: moving\ndata: {}\n\n")
				s.flush()
				return nil
			case silent:
				s.printf(": still here\n\n")
			}
			news, more = watch.Next()
		}
	}
}

// stream writes events until something goes wrong.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *stream) printf(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, format, args...)
	}
}

func (s *stream) send(e *gamev1.Event) {
	data, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(e)
	if err != nil && s.err == nil {
		s.err = err
	}
	s.printf("id: %d\nevent: %s\ndata: %s\n\n", e.Position, e.ProtoReflect().WhichOneof(what).Name(), data)
}

// what is the choice in an event between the kinds of it.
var what = (*gamev1.Event)(nil).ProtoReflect().Descriptor().Oneofs().ByName("what")

// begin gives the reader time for what is written next, until flush.
func (s *stream) begin() {
	if s.err == nil {
		s.err = s.control.SetWriteDeadline(time.Now().Add(writeTime))
	}
}

// flush sends what was written.
func (s *stream) flush() {
	if s.err == nil {
		s.err = errors.Join(s.control.Flush(), s.control.SetWriteDeadline(time.Time{}))
	}
}

// afterPosition is where to continue: what the browser saw last, or what the address says.
func afterPosition(r *http.Request) (journal.Position, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, failure.Malformed.With("reason", failure.Safe(err)).Wrap(err)
	}
	for name := range query {
		if name != "after_position" && name != "afterPosition" {
			return 0, failure.Malformed.With("parameter", failure.Safe(name)).With("reason", failure.Safe("there is no such query parameter"))
		}
	}
	where, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		where, text = "after_position", query.Get("after_position")+query.Get("afterPosition")
	}
	if text == "" {
		return 0, nil
	}
	p, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, failure.Malformed.With("parameter", failure.Safe(where)).With("reason", failure.Safe("a position is a whole number from 0"))
	}
	return journal.Position(p), nil
}
