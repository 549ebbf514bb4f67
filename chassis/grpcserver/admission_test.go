package grpcserver_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// narrow is a listener that answers one call at a time and lets one wait.
func narrow() grpcserver.Config {
	return grpcserver.Config{Admission: chassis.AdmissionConfig{Workers: 1, Capacity: 1, MaxWait: time.Minute}}
}

// held is a service whose answers wait: each call says that it has begun, and answers when it may.
type held struct {
	begun   chan string
	release chan struct{}
}

func newHeld() *held { return &held{make(chan string, 16), make(chan struct{})} }

func (b *held) say(ctx context.Context, text string) (string, error) {
	b.begun <- text
	switch {
	case strings.HasPrefix(text, "panics"):
		panic(text)
	case strings.HasPrefix(text, "fails"):
		return "", errFull.New()
	}
	select {
	case <-b.release:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

type answered struct {
	text string
	err  error
}

func (h *host) sayLater(text string) <-chan answered {
	got := make(chan answered, 1)
	go func() {
		s, err := h.say(context.Background(), text)
		got <- answered{s, err}
	}()
	return got
}

func TestCallsWaitForTheirTurnAndAreTurnedAwayWhenAllPlacesAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newHeld()
		h := start(t, options{pipes: true, grpc: narrow(), settings: func(s *chassis.Settings) { s.AccessLog.Format = "%{queue_wait_us}x %{grpc_status}x" }}, &echo{
			say: b.say, count: func(text string, send func(string) error, _ context.Context) error { return send(text) },
		})
		first := h.sayLater("first")
		<-b.begun
		second := h.sayLater("second")
		h.wantMetric(1, "queue_depth", "queue", "grpc")
		var trailer metadata.MD
		_, err := h.say(t.Context(), "third", grpc.Trailer(&trailer))
		if status.Code(err) != grpccodes.Unavailable {
			t.Errorf("the third: %v", err)
		}
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 503 || !f.Retryable || f.RetryAfter <= 0 {
			t.Errorf("the third: %+v", f)
		}
		if ms, err := strconv.Atoi(strings.Join(trailer["grpc-retry-pushback-ms"], "")); err != nil || ms < 1 {
			t.Errorf("trailer %v", trailer)
		}
		// Streams and health checks wait for nobody.
		if got, err := next(h.stream(t.Context(), count, "stream")); got != "stream" || err != nil {
			t.Errorf("a stream: %q, %v", got, err)
		}
		if _, err := h.health(t.Context(), ""); err != nil {
			t.Errorf("health: %v", err)
		}
		time.Sleep(time.Millisecond) // virtual
		close(b.release)
		for name, got := range map[string]<-chan answered{"first": first, "second": second} {
			if a := <-got; a.text != name || a.err != nil {
				t.Errorf("%s: %+v", name, a)
			}
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "grpc", "reason", "full", "class", "critical")
		h.stop()
		waits := 0
		for line := range strings.Lines(h.access.String()) {
			if !strings.HasPrefix(line, "0 ") {
				waits++
			}
		}
		if waits != 1 {
			t.Errorf("%d calls waited: %s", waits, h.access.String())
		}
	})
}

func TestACallThatHasWaitedHasTheTimeOfItsListener(t *testing.T) {
	b := newHeld()
	deadlines := make(chan bool, 2)
	h := start(t, options{grpc: narrow()}, &echo{say: func(ctx context.Context, text string) (string, error) {
		_, bounded := ctx.Deadline()
		deadlines <- bounded
		return b.say(ctx, text)
	}})
	first := h.sayLater("first")
	<-b.begun
	second := h.sayLater("second")
	h.wantMetric(1, "queue_depth", "queue", "grpc")
	close(b.release)
	for name, got := range map[string]<-chan answered{"first": first, "second": second} {
		if a := <-got; a.text != name || a.err != nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for _, name := range []string{"that came first", "that has waited"} {
		if !<-deadlines {
			t.Errorf("the call %s has no deadline", name)
		}
	}
}

func TestACallWithoutItsMessageTakesNoWorkersPlace(t *testing.T) {
	h := start(t, options{grpc: narrow()}, &echo{say: func(_ context.Context, text string) (string, error) { return text, nil }})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	const callers = 4 // twice as many as are answered and wait
	for range callers {
		if _, err := h.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, say); err != nil {
			t.Fatal(err)
		}
	}
	h.wantMetric(callers, "requests_in_flight", "listener", "grpc")
	patience, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	if got, err := h.say(patience, "hello"); got != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOnlyTheDoorTellsCallersThatTheyMayCallAgainWhateverTheyCall(t *testing.T) {
	h := start(t, options{}, &echo{say: func(context.Context, string) (string, error) {
		q, err := queue.New("own", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		if err == nil {
			err = q.Close(context.Background())
		}
		if err != nil {
			return "", err
		}
		return "", q.Do(context.Background(), queue.Meta{}, nil)
	}})
	var trailer metadata.MD
	if _, err := h.say(t.Context(), "", grpc.Trailer(&trailer)); status.Code(err) != grpccodes.Unavailable || len(trailer["grpc-retry-pushback-ms"]) != 0 {
		t.Errorf("%v, trailer %v", err, trailer)
	}
}

func TestAWorkerIsGivenBackHoweverAMethodEnds(t *testing.T) {
	b := newHeld()
	close(b.release)
	h := start(t, options{grpc: narrow()}, &echo{say: b.say})
	for range 3 {
		for text, want := range map[string]grpccodes.Code{"panics": grpccodes.Internal, "fails": grpccodes.FailedPrecondition, "good": grpccodes.OK} {
			if _, err := h.say(t.Context(), text); status.Code(err) != want {
				t.Errorf("%s: %v", text, err)
			}
			<-b.begun
		}
	}
	h.wantMetric(0, "queue_inflight", "queue", "grpc")
}

func TestMethodsMayHaveAQueueAndAClassOfTheirOwnAndTenantsNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newHeld()
		var store *queue.Queue
		o := options{pipes: true, grpc: narrow(), setup: func(s *chassis.Service) error {
			store = s.Queue("store", queue.Limits{Workers: 1, Capacity: 1})
			return nil
		}}
		// The queue exists when Setup runs, so options are made there in a service.
		o.server = []grpc.ServerOption{
			grpcserver.Class(queue.CriticalPlus, "/test.Echo/"), grpcserver.Class(queue.Sheddable, say),
			grpcserver.Tenant(func(ctx context.Context) string {
				md, _ := metadata.FromIncomingContext(ctx)
				return strings.Join(md["customer"], "")
			}),
		}
		h := start(t, o, &echo{say: b.say})
		first := h.sayLater("first")
		<-b.begun
		second := h.sayLater("second")
		h.wantMetric(1, "queue_depth", "queue", "grpc")
		if _, err := h.say(t.Context(), "third"); status.Code(err) != grpccodes.Unavailable {
			t.Errorf("the third: %v", err)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "grpc", "reason", "full", "class", "sheddable")
		close(b.release)
		<-first
		<-second
		if store.Stats().Admitted != 0 {
			t.Error("a queue that no method has was used")
		}

		own, err := queue.New("own", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h = start(t, options{pipes: true, server: []grpc.ServerOption{grpcserver.Admit(own, "/test.Echo/")}}, &echo{say: b.say})
		if _, err := h.say(t.Context(), "good"); err != nil || own.Stats().Admitted != 1 {
			t.Errorf("%v, %+v", err, own.Stats())
		}
		if _, err := try(t, options{pipes: true, server: []grpc.ServerOption{grpcserver.Admit(own, "/test.Echo/Sya")}}, (&echo{}).register); err == nil || !strings.Contains(err.Error(), `no method "/test.Echo/Sya"`) || !strings.Contains(err.Error(), say) {
			t.Errorf("a method that is not there: %v", err)
		}
	})
}

func TestACallThatTheDoorTurnedAwayIsSentAgainWhateverItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newHeld()
		h := start(t, options{pipes: true, grpc: narrow()}, &echo{say: b.say})
		conn, err := grpcclient.Dial(h.s, "echo", grpcclient.Config{Addr: "passthrough:///pipe", Timeout: time.Minute}, grpc.WithContextDialer(h.pipes.dial))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		first := h.sayLater("first")
		<-b.begun
		second := h.sayLater("second")
		h.wantMetric(1, "queue_depth", "queue", "grpc")
		third := make(chan error, 1)
		go func() {
			third <- conn.Invoke(context.Background(), say, wrapperspb.String("third"), new(wrapperspb.StringValue))
		}()
		for h.refused() == 0 {
			time.Sleep(time.Millisecond) // virtual
		}
		close(b.release)
		<-first
		<-second
		if err := <-third; err != nil {
			t.Errorf("the third: %v", err)
		}
	})
}

// refused is how many calls the listener's queue has turned away because it was full.
func (h *host) refused() float64 {
	n, _ := h.metric("queue_rejected_total", []string{"queue", "grpc", "reason", "full", "class", "critical"})
	return n
}

func TestAListenerMayHaveNoAdmission(t *testing.T) {
	h := start(t, options{grpc: grpcserver.Config{Admission: chassis.AdmissionConfig{Workers: -1}}}, &echo{say: func(context.Context, string) (string, error) { return "", nil }})
	if _, err := h.say(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if d, err := h.s.Description(); err != nil || len(d.Queues) != 0 {
		t.Errorf("%v, %v", d.Queues, err)
	}
	_, err := try(t, options{setup: func(s *chassis.Service) error {
		s.Queue("grpc", queue.Limits{Workers: 1, Capacity: 1})
		return nil
	}}, (&echo{}).register)
	if err == nil || !strings.Contains(err.Error(), `listener "grpc": there is a queue "grpc" already`) {
		t.Errorf("two queues of a name: %v", err)
	}
}

func TestACallersMistakeIsNoFailedWork(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		failed uint64
	}{
		"none":                              {nil, 0},
		"a mistake":                         {failure.Malformed.New(), 0},
		"a mistake that has its own status": {status.Error(grpccodes.InvalidArgument, "no"), 0},
		"a fault":                           {failure.Overloaded.New(), 1},
		"a fault that has its own status":   {status.Error(grpccodes.Internal, "no"), 1},
		"something else":                    {context.DeadlineExceeded, 1},
	} {
		own, err := queue.New("own", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := start(t, options{server: []grpc.ServerOption{grpcserver.Admit(own, "/test.Echo/")}}, &echo{
			say: func(context.Context, string) (string, error) { return "", c.err },
		})
		if _, err := h.say(t.Context(), ""); (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if got := own.Stats(); got.Failed != c.failed || got.Completed != 1 {
			t.Errorf("%s: %d failed of %d, want %d of 1", name, got.Failed, got.Completed, c.failed)
		}
	}
}
