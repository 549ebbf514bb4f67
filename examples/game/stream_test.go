package game_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// sse is a stream of Server-Sent Events under way.
type sse struct {
	t      testing.TB
	resp   *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// frame is what stands between two empty lines.
type frame struct {
	id      uint64
	event   string
	data    string
	comment string
	retry   string
}

func (s *service) sse(id, query string, header ...string) *sse {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	req, err := http.NewRequestWithContext(ctx, "GET", s.base+"/v1/games/"+id+"/events"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	return &sse{s.t, resp, bufio.NewScanner(resp.Body), cancel}
}

// next is the next frame, and false at the end of the stream.
func (s *sse) next() (f frame, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		if line == "" {
			return f, true
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			f.id, _ = strconv.ParseUint(value, 10, 64)
		case "event":
			f.event = value
		case "data":
			f.data = value
		case "retry":
			f.retry = value
		case "":
			f.comment = value
		default:
			s.t.Fatalf("what is %q?", line)
		}
	}
	return f, false
}

// event is the next frame with an event in it.
func (s *sse) event() (frame, *gamev1.Event) {
	s.t.Helper()
	for {
		f, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ended: %v", s.lines.Err())
		}
		if f.event == "" {
			continue
		}
		var e gamev1.Event
		if err := protojson.Unmarshal([]byte(f.data), &e); err != nil {
			s.t.Fatalf("%s: %v", f.data, err)
		}
		return f, &e
	}
}

func TestAGameIsWatchedAsServerSentEvents(t *testing.T) {
	s := start(t, nil)
	id, tokens := s.match(&gamev1.CreateGameRequest{})
	watch := s.sse(id, "")
	if h := watch.resp.Header; watch.resp.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", watch.resp.StatusCode, h)
	}
	if f, _ := watch.next(); f.retry != "1000" {
		t.Errorf("the first frame is %+v", f)
	}
	var names []string
	var events []*gamev1.Event
	for i := range 3 + 8 {
		if i >= 3 && i < 10 {
			s.play(id, [2]string{tokens[(i-3)%2]}, "0101010"[i-3:i-2])
		}
		f, e := watch.event()
		if f.id != e.Position {
			t.Errorf("frame %d has event %v", f.id, e)
		}
		names, events = append(names, f.event), append(events, e)
	}
	if got := strings.Join(names, " "); got != "created joined joined dropped dropped dropped dropped dropped dropped dropped finished" {
		t.Errorf("the events are %s", got)
	}
	if f, ok := watch.next(); ok {
		t.Errorf("after the end there is %+v", f)
	}
	for i, e := range s.watch(id, 0) {
		if !proto.Equal(e, events[i]) {
			t.Errorf("event %d is %v here and %v over gRPC", i, events[i], e)
		}
	}
}

func TestABrowserContinuesWhereItWasCutOff(t *testing.T) {
	s := start(t, nil)
	id, tokens := s.match(&gamev1.CreateGameRequest{})
	s.play(id, tokens, "010101")
	all := s.watchSSE(id, 0, 9)
	for cut := range len(all) {
		watch := s.sse(id, "?after_position=1", "Last-Event-ID", fmt.Sprint(all[cut].Position))
		for _, want := range all[cut+1:] {
			if _, e := watch.event(); !proto.Equal(e, want) {
				t.Errorf("after position %d comes %v, want %v", all[cut].Position, e, want)
			}
		}
		watch.cancel()
	}
	if got := s.watchSSE(id, all[3].Position, 5); story(got) != "1 0 1 0 1"[0:9] {
		t.Errorf("from the address's position on: %s", story(got))
	}
	s.play(id, tokens, "0")
	all = s.watch(id, 0)
	last := fmt.Sprint(all[len(all)-1].Position)
	if resp, text := s.http("GET", "/v1/games/"+id+"/events", "", "Last-Event-ID", last); resp.StatusCode != http.StatusNoContent || text != "" {
		t.Errorf("a browser that has seen the end is answered %d %q, want 204", resp.StatusCode, text)
	}
}

// watchSSE is the next n events after a position.
func (s *service) watchSSE(id string, after uint64, n int) []*gamev1.Event {
	s.t.Helper()
	watch := s.sse(id, fmt.Sprintf("?after_position=%d", after))
	defer watch.cancel()
	var all []*gamev1.Event
	for range n {
		_, e := watch.event()
		all = append(all, e)
	}
	return all
}

func TestASilentStreamHasHeartbeats(t *testing.T) {
	s := start(t, nil)
	created, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{})
	if err != nil {
		t.Fatal(err)
	}
	pending := s.clock.Pending()
	watch := s.sse(created.Game.Id, "")
	watch.event()
	for range 3 {
		for s.clock.Pending() == pending && s.ctx.Err() == nil { // until the stream waits
			runtime.Gosched()
		}
		s.clock.Advance(15 * time.Second)
		if f, ok := watch.next(); !ok || f.comment == "" || f.event != "" {
			t.Fatalf("the frame is %+v, %v", f, ok)
		}
	}
}

func TestStreamsEndWhenTheServiceDrains(t *testing.T) {
	s := start(t, nil)
	created, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{})
	if err != nil {
		t.Fatal(err)
	}
	browser := s.sse(created.Game.Id, "")
	browser.event()
	stream, err := s.WatchGame(s.ctx, &gamev1.WatchGameRequest{GameId: created.Game.Id})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.inst.Stop(s.ctx) }()
	if f, ok := browser.next(); !ok || f.event != "moving" {
		t.Errorf("the last frame is %+v, %v", f, ok)
	}
	if f, ok := browser.next(); ok || browser.lines.Err() != nil {
		t.Errorf("after it comes %+v, %v, %v", f, ok, browser.lines.Err())
	}
	if _, err := stream.Recv(); failureOf(err).Code != failure.Draining.Number() || failureOf(err).Status != codes.Unavailable {
		t.Errorf("the gRPC stream ends with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestWatchersThatLeaveAreForgotten(t *testing.T) {
	s := start(t, func(_ *chassis.Settings, cfg *game.Config) { cfg.Limits.WatchersPerGame = 1 })
	created, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var watch *sse
		for watch == nil || watch.resp.StatusCode == http.StatusTooManyRequests { // until the last one's leaving is noticed
			watch = s.sse(created.Game.Id, "")
		}
		watch.event()
		watch.cancel()
	}
	for {
		ctx, cancel := context.WithCancel(s.ctx)
		stream, err := s.WatchGame(ctx, &gamev1.WatchGameRequest{GameId: created.Game.Id})
		if err == nil {
			_, err = stream.Recv()
		}
		cancel()
		if err == nil {
			break
		}
		if failureOf(err).Code != 1023 {
			t.Fatal(err)
		}
	}
}

// TestEveryWatcherSeesEveryEventOnce has games watched by many at a time, half of whom are cut
// off again and again and continue; -short makes both fewer.
func TestEveryWatcherSeesEveryEventOnce(t *testing.T) {
	games, watchers := 100, 1000
	if testing.Short() {
		games, watchers = 10, 50
	}
	s := start(t, nil)
	const perConnection = 100
	var conns []gamev1.GameServiceClient
	for range (watchers + perConnection - 1) / perConnection {
		conns = append(conns, gamev1.NewGameServiceClient(dial(t, s.inst.Addr("grpc").String())))
	}
	moves := "510465540343244065342100053663125613621221" // a draw: as many events as there can be
	ids, tokens := make([]string, games), make([][2]string, games)
	for i := range games {
		ids[i], tokens[i] = s.match(&gamev1.CreateGameRequest{})
	}
	began := time.Now()
	seen := make([][]uint64, watchers)
	var ready, done sync.WaitGroup
	for i := range watchers {
		ready.Add(1)
		done.Go(func() { seen[i] = s.follow(conns[i/perConnection], ids[i%games], i%2 == 0, ready.Done) })
	}
	ready.Wait()
	connected := time.Since(began)
	began = time.Now()
	var players sync.WaitGroup
	for i := range games {
		players.Go(func() { s.play(ids[i], tokens[i], moves) })
	}
	players.Wait()
	played := time.Since(began)
	done.Wait()
	all := time.Since(began)
	for i, positions := range seen {
		want := s.positions(ids[i%games])
		if fmt.Sprint(positions) != fmt.Sprint(want) {
			t.Fatalf("watcher %d saw positions %v, want %v", i, positions, want)
		}
	}
	events := watchers * (1 + 2 + len(moves) + 1)
	t.Logf("%d watchers of %d games: connected in %v, moves made in %v, all %d events delivered after %v (%.0f/s)",
		watchers, games, connected.Round(time.Millisecond), played.Round(time.Millisecond), events, all.Round(time.Millisecond), float64(events)/all.Seconds())
}

// positions are those of a game's events.
func (s *service) positions(id string) []uint64 {
	var all []uint64
	for _, e := range s.watch(id, 0) {
		all = append(all, e.Position)
	}
	return all
}

// follow watches a game to its end and returns the positions it saw. One that is restless
// leaves every few events and continues.
func (s *service) follow(from gamev1.GameServiceClient, id string, restless bool, ready func()) (positions []uint64) {
	ready = sync.OnceFunc(ready)
	defer ready() // whoever waits for all of them learns of an error, too
	for after, over := uint64(0), false; !over; {
		ctx, cancel := context.WithCancel(s.ctx)
		stream, err := from.WatchGame(ctx, &gamev1.WatchGameRequest{GameId: id, AfterPosition: after})
		if err != nil {
			s.t.Errorf("watch game %s after %d: %v", id, after, err)
			cancel()
			return positions
		}
		for n := 0; !over && (!restless || n < 15); n++ {
			r, err := stream.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				s.t.Errorf("watch game %s after %d: %v", id, after, err)
				over = true
				break
			}
			after = r.Event.Position
			positions = append(positions, after)
			ready()
			over = r.Event.GetFinished() != nil
		}
		cancel()
	}
	return positions
}
