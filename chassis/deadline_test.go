package chassis_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// tellsDeadline answers with the time that the handler has.
func tellsDeadline(w http.ResponseWriter, r *http.Request) error {
	deadline, ok := r.Context().Deadline()
	if !ok {
		_, err := fmt.Fprint(w, "none")
		return err
	}
	_, err := fmt.Fprint(w, time.Until(deadline))
	return err
}

func TestACallerMayShortenTheTimeOfAHandlerAndNotLengthenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := routes(map[string]chassis.Handler{"GET /listener": tellsDeadline})
		r.Handle("GET /route", tellsDeadline, chassis.Timeout(time.Second))
		r.Handle("GET /unbound", tellsDeadline, chassis.Timeout(-1))
		r.Handle("GET /stream", tellsDeadline, chassis.Stream())
		h := start(t, options{pipes: true, http: chassis.HTTPConfig{Timeout: 10 * time.Second}}, serve(r))
		for _, c := range []struct{ path, header, want string }{
			{"/listener", "", "10s"},
			{"/listener", "250m", "250ms"},
			{"/listener", "1H", "10s"},
			{"/listener", "99999999H", "10s"},
			{"/listener", "250ms", "10s"},
			{"/listener", "-1S", "10s"},
			{"/route", "999999u", "999.999ms"},
			{"/route", "5S", "1s"},
			{"/unbound", "", "none"},
			{"/unbound", "1M", "1m0s"},
			{"/stream", "1S", "none"},
		} {
			var header []string
			if c.header != "" {
				header = []string{"Grpc-Timeout", c.header}
			}
			if a := h.get(c.path, header...); a.body != c.want {
				t.Errorf("%s with %q: %q, want %q", c.path, c.header, a.body, c.want)
			}
		}
		if deadline := h.get("/unbound", "Grpc-Timeout", "99999999H").body; deadline[:2] != "12" || len(deadline) < len("1281023h0m0s") {
			t.Errorf("an age is %q", deadline)
		}
	})
}

func TestAHandlerEndsWithItsCallersPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true}, serve(routes(map[string]chassis.Handler{
			"GET /job": func(_ http.ResponseWriter, r *http.Request) error {
				<-r.Context().Done()
				return r.Context().Err()
			},
		})))
		if a := <-h.ask("/job", "Grpc-Timeout", "3S"); a.problem(t).Code != 504 || a.took != 3*time.Second {
			t.Errorf("%d after %v: %s", a.StatusCode, a.took, a.body)
		}
	})
}

func TestWhatCannotBeDoneBeforeItsCallerLeavesIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: narrow()}, serve(routes(map[string]chassis.Handler{"GET /job": sleeps(time.Second)})))
		<-h.ask("/job") // from now on the queue knows that work takes a second
		first := h.ask("/job")
		synctest.Wait()
		if hasty := <-h.ask("/job", "Grpc-Timeout", "1500m"); hasty.problem(t).Code != 503 || hasty.took != 0 {
			t.Errorf("who cannot wait for two seconds: %d after %v", hasty.StatusCode, hasty.took)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "http", "reason", "deadline", "class", "critical")
		if patient := <-h.ask("/job", "Grpc-Timeout", "2500m"); patient.StatusCode != 200 || patient.took != 2*time.Second {
			t.Errorf("who can: %d after %v", patient.StatusCode, patient.took)
		}
		if a := <-first; a.StatusCode != 200 {
			t.Errorf("the first: %d", a.StatusCode)
		}
		if late := <-h.ask("/job", "Grpc-Timeout", "0n"); late.StatusCode != 504 || late.took != 0 {
			t.Errorf("who has given up: %d after %v", late.StatusCode, late.took)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "http", "reason", "expired", "class", "critical")
	})
}

func TestWhoseDeadlineComesWhileWaitingIsCountedByThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: narrow()}, serve(routes(map[string]chassis.Handler{"GET /job": sleeps(time.Second)})))
		first := h.ask("/job")
		synctest.Wait()
		if late := <-h.ask("/job", "Grpc-Timeout", "500m"); late.problem(t).Code != 503 || late.took != 500*time.Millisecond {
			t.Errorf("%d after %v: %s", late.StatusCode, late.took, late.body)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "http", "reason", "deadline", "class", "critical")
		if a := <-first; a.StatusCode != 200 {
			t.Errorf("the first: %d", a.StatusCode)
		}
	})
}

func TestTheDeadlineOfAClientReachesTheHandlerOfTheServiceItCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true}, serve(routes(map[string]chassis.Handler{"GET /left": tellsDeadline})))
		self, err := client.New(h.s, "self", client.Config{URL: "http://http", Timeout: time.Minute, Retry: retry.Config{Attempts: 1}},
			func(tr *http.Transport) { tr.DialContext = h.client.Transport.(*http.Transport).DialContext })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1234567*time.Microsecond)
		defer cancel()
		for want, ctx := range map[string]context.Context{"1.234567s": ctx, "30s": t.Context()} { // 30 s are the listener's
			req, err := http.NewRequestWithContext(ctx, "GET", "/left", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := self.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if a := read(res); a.body != want {
				t.Errorf("the handler has %q, want %q", a.body, want)
			}
		}
	})
}
