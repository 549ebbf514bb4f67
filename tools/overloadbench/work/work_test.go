package work_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-754044b3/roadworthy/tools/overloadbench/work"
)

func TestAPoolDoesAsMuchAtATimeAsItHasWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, begun := work.New(2, 20*time.Millisecond), time.Now()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if err := p.Do(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("1000 pieces of 20 ms took 2 workers %v, want about 10 s", took)
		}
	})
}

func TestWhoeverWaitsLeavesWithItsContextAndWhatHasBegunIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := work.New(1, 20*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var first, second error
		var all sync.WaitGroup
		all.Go(func() { first = p.Do(ctx) })
		synctest.Wait()
		all.Go(func() { second = p.Do(ctx) })
		all.Wait()
		if first != nil || !errors.Is(second, context.DeadlineExceeded) {
			t.Errorf("%v and %v, want none and the context's", first, second)
		}
	})
}

// registrar keeps what is registered.
type registrar struct{ service *grpc.ServiceDesc }

func (r *registrar) RegisterService(d *grpc.ServiceDesc, _ any) { r.service = d }

func TestTheMethodDoesTheWork(t *testing.T) {
	refusal, broken := errors.New("no"), errors.New("no message")
	var r registrar
	done := 0
	work.Register(&r, func(context.Context) error {
		done++
		return refusal
	})
	m := r.service.Methods[0]
	if name := "/" + r.service.ServiceName + "/" + m.MethodName; name != work.Method {
		t.Errorf("%s is registered, want %s", name, work.Method)
	}
	read := func(any) error { return nil }
	passed := false
	chain := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		passed = info.FullMethod == work.Method
		return h(ctx, req)
	}
	for _, c := range []grpc.UnaryServerInterceptor{nil, chain} {
		out, err := m.Handler(nil, t.Context(), read, c)
		if _, ok := out.(*emptypb.Empty); !ok || !errors.Is(err, refusal) {
			t.Errorf("%v, %v", out, err)
		}
	}
	if _, err := m.Handler(nil, t.Context(), func(any) error { return broken }, nil); !errors.Is(err, broken) || done != 2 || !passed {
		t.Errorf("%v after %d calls, by way of the chain: %v", err, done, passed)
	}
}

func TestAServerTellsOfItself(t *testing.T) {
	w := httptest.NewRecorder()
	work.Handler(func() work.Counts { return work.Counts{Arrivals: 7, Connections: 2} }).ServeHTTP(w, httptest.NewRequest("GET", "/state", nil))
	var s work.State
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.PID != os.Getpid() || s.Goroutines < 1 || s.Arrivals != 7 || s.Connections != 2 {
		t.Errorf("%+v", s)
	}
}
