package arcade_test

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
	"github.com/seed-754044b3/roadworthy/fake"
)

func codeField(code int) zap.Field { return zap.Int("code", code) }

// event is one Server-Sent Event, or a comment.
type event struct{ id, name, data, comment string }

// eventStream reads events one at a time.
type eventStream struct {
	t      testing.TB
	resp   *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// follow opens the stream of a game as an EventSource does.
func (v *visitor) follow(path, lastEventID string) *eventStream {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 2*time.Minute) // a stream that says nothing fails the test
	v.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &eventStream{v.t, resp, lines, cancel}
}

// next is the next event; false at the end of the stream.
func (s *eventStream) next() (event, bool) {
	var e event
	var data []string
	for s.lines.Scan() {
		line := s.lines.Text()
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "":
			e.comment += value
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data = append(data, value)
		}
		if line == "" {
			e.data = strings.Join(data, "\n")
			if e != (event{}) {
				return e, true
			}
		}
	}
	return event{}, false
}

// game is the next event, which must tell of the game and say text.
func (s *eventStream) game(text string) event {
	s.t.Helper()
	e, ok := s.next()
	if !ok || e.name != "game" || !strings.Contains(e.data, text) {
		s.t.Fatalf("the next event is %+v (%t), want a game with %q", e, ok, text)
	}
	if _, err := strconv.ParseUint(e.id, 10, 64); err != nil {
		s.t.Errorf("the event's id is %q", e.id)
	}
	return e
}

// ends checks that the stream ends and tells the browser to stay away.
func (s *eventStream) ends() {
	s.t.Helper()
	if e, ok := s.next(); !ok || e.name != "end" {
		s.t.Errorf("the next event is %+v, want the end", e)
	}
	if e, ok := s.next(); ok {
		s.t.Errorf("after the end comes %+v", e)
	}
}

func TestEveryoneSeesEachMoveAsItHappens(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben, cas := w.visitor(), w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()

	anns, cass := ann.follow(path+"/events", ""), cas.follow(path+"/events", "")
	if got := anns.resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type is %q", got)
	}
	if anns.resp.Uncompressed {
		t.Error("the stream was compressed, which holds events back")
	}
	anns.game("Waiting for somebody")
	cass.game("A seat is free")

	ben.join(path, "Ben", "yellow")
	anns.game("Your turn: you play Red")
	cass.game("Ann (Red) to move")
	bens := ben.follow(path+"/events", "")
	bens.game("Ann (Red) to move")

	for range 3 {
		ann.get(path).drop("1")
		anns.game("Ben (Yellow) to move")
		bens.game("Your turn: you play Yellow")
		cass.game("Ann dropped in column 1")
		ben.get(path).drop("2")
		anns.game("Your turn")
		bens.game("Ann (Red) to move")
		cass.game("Ben dropped in column 2")
	}
	ann.get(path).drop("1")
	anns.game("You won with four in a row")
	bens.game("Ann (Red) won with four in a row")
	cass.game("Ann (Red) won with four in a row")
	for _, s := range []*eventStream{anns, bens, cass} {
		s.ends()
	}
}

func TestABrowserThatWasCutOffResumesBehindWhatItSaw(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()
	ben.join(path, "Ben", "yellow")

	first := ben.follow(path+"/events", "")
	seen := first.game("Ann (Red) to move").id
	first.cancel()

	again := ben.follow(path+"/events", seen)
	ann.get(path).drop("1") // were the old state sent again, it would come before this
	latest := again.game("Ann dropped in column 1").id
	again.cancel()

	ben.get(path).drop("2")
	ann.get(path).drop("1")
	ben.follow(path+"/events", latest).game("Move 3")
	ben.follow(path+"/events?after="+latest, "").game("Move 3")
	ben.follow(path+"/events?after=0", latest).game("Move 3")

	ann.get(path+"/resign").submit(path+"/resign", nil)
	over := ben.follow(path+"/events", latest)
	id := over.game("You won: Ann resigned").id
	over.ends()
	if s := ben.follow(path+"/events", id); s.resp.StatusCode != http.StatusNoContent {
		t.Errorf("who has seen the end is answered %d, want 204, which ends an EventSource", s.resp.StatusCode)
	}
}

func TestATimeoutIsSeenLive(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "30").game()
	ben.join(path, "Ben", "yellow")
	s := ben.follow(path+"/events", "")
	s.game("data-left=\"30000\"")
	w.game.Advance(30 * time.Second)
	for {
		e, ok := s.next()
		if !ok {
			t.Fatal("the stream ended without the game's end")
		}
		if e.comment == "" {
			if !strings.Contains(e.data, "You won: Ann ran out of time") {
				t.Errorf("the event is %+v", e)
			}
			break
		}
	}
	s.ends()
}

func TestASilentStreamShowsThatItIsAlive(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.visitor()
	s := ann.follow(ann.create("Ann", "red", "human", "0").game()+"/events", "")
	s.game("Waiting")
	for range 3 {
		w.game.Advance(20 * time.Second)
		if e, ok := s.next(); !ok || e.comment != "alive" {
			t.Fatalf("after 20 s comes %+v (%t)", e, ok)
		}
	}
}

func TestStreamsEndWhenTheArcadeDrains(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.visitor()
	s := ann.follow(ann.create("Ann", "red", "human", "0").game()+"/events", "")
	s.game("Waiting")
	w.stop()
	if e, ok := s.next(); ok {
		t.Errorf("a stream of an arcade that stopped says %+v", e)
	}
	if n := w.log.FilterMessage("requests were cut off").Len(); n != 0 {
		t.Error("the stream was cut rather than ended")
	}
}

func TestAStreamThatTheGameServiceCutsIsResumed(t *testing.T) {
	t.Parallel()
	w := start(t, quick)
	ann := w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()
	s := ann.follow(path+"/events", "")
	seen := s.game("Waiting").id

	w.game.FailNext(1, fake.Code(failure.Overloaded.Number()), on(getGame))
	w.joinGame(path, "Ben")
	if e, ok := s.next(); ok {
		t.Errorf("a stream whose game cannot be read says %+v", e)
	}
	eventually(t, "the failure is counted", func() bool { return w.log.FilterField(codeField(2002)).Len() > 0 })
	ann.follow(path+"/events", seen).game("Your turn")
}

func TestAStreamEndsQuietlyWhenTheGameServiceIsReplaced(t *testing.T) {
	t.Parallel()
	w := start(t, quick)
	path := "/games/" + w.newGame(nil)
	w.game.FailNext(1, fake.Code(failure.Draining.Number()), on(watchGame))
	s := w.visitor().follow(path+"/events", "")
	seen := s.game("A seat is free").id
	if e, ok := s.next(); ok {
		t.Errorf("a stream whose game service drains says %+v", e)
	}
	w.visitor().join(path, "Ann", "red")
	w.visitor().follow(path+"/events", seen).game("Ann")
	if failures := w.log.FilterMessage("request failed"); failures.Len() != 0 {
		t.Errorf("it is counted as a failure: %v", failures.All())
	}
}

func TestAStreamThatCannotBeginSaysWhy(t *testing.T) {
	t.Parallel()
	w := start(t, quick)
	v := w.visitor()
	path := "/games/" + w.newGame(nil)
	for _, c := range []struct {
		path   string
		status int
	}{
		{"/games/none/events", http.StatusNotFound},
		{path + "/events?after=yesterday", http.StatusBadRequest},
		{path + "/events?after=-1", http.StatusBadRequest},
	} {
		s := v.follow(c.path, "")
		if s.resp.StatusCode != c.status || s.resp.Header.Get("Content-Type") != failure.ContentType {
			t.Errorf("%s is answered %d %s, want %d", c.path, s.resp.StatusCode, s.resp.Header.Get("Content-Type"), c.status)
		}
	}
	w.game.FailNext(1, fake.Code(1023), on(watchGame))
	s := v.follow(path+"/events", "")
	s.game("A seat is free")
	if e, ok := s.next(); ok {
		t.Errorf("a stream that may not watch says %+v", e)
	}
}

func TestManyWatchersOfOneGameSeeTheMove(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *arcade.Config) { c.HTTP.Compress = false })
	ann, ben := w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()
	ben.join(path, "Ben", "yellow")
	streams := make([]*eventStream, 50)
	for i := range streams {
		streams[i] = w.visitor().follow(path+"/events", "")
		streams[i].game("Ann (Red) to move")
	}
	ann.get(path).drop("7")
	for _, s := range streams {
		s.game("Ann dropped in column 7")
		s.cancel()
	}
}
