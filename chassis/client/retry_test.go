package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// overloaded answers as a service on the chassis does that is.
func overloaded(w http.ResponseWriter, r *http.Request) {
	failure.WriteProblem(w, r, failure.Overloaded.New().Problem("01ABC"))
}

// unsure answers 503 with a failure that is not to be repeated.
func unsure(w http.ResponseWriter, r *http.Request) {
	failure.WriteProblem(w, r, failure.Problem{Status: 503, Set: "game", Code: 1202, Title: "nobody knows"})
}

func TestOnlyWhatDoesNothingTwiceIsSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		key    string
		first  http.HandlerFunc
		sent   int
		status int
	}{
		"GET after 503":                         {"GET", "", says(503), 2, 200},
		"GET after 502":                         {"GET", "", says(502), 2, 200},
		"no method, which is GET":               {"", "", says(503), 2, 200},
		"HEAD":                                  {"HEAD", "", says(503), 2, 200},
		"OPTIONS":                               {"OPTIONS", "", says(503), 2, 200},
		"TRACE":                                 {"TRACE", "", says(503), 2, 200},
		"PUT":                                   {"PUT", "", says(503), 2, 200},
		"DELETE":                                {"DELETE", "", says(503), 2, 200},
		"POST":                                  {"POST", "", says(503), 1, 503},
		"POST to a service with an overload":    {"POST", "", overloaded, 1, 503},
		"PATCH":                                 {"PATCH", "", says(503), 1, 503},
		"a method of one's own":                 {"DROP", "", says(503), 1, 503},
		"POST with a key":                       {"POST", "wish-17", says(503), 2, 200},
		"GET after an overload":                 {"GET", "", overloaded, 2, 200},
		"GET after what may not be repeated":    {"GET", "", unsure, 1, 503},
		"GET after a problem of another maker":  {"GET", "", says(503, "Content-Type", failure.ContentType), 2, 200},
		"GET over a quota":                      {"GET", "", says(429, "Retry-After", "0"), 1, 429},
		"GET after an error of the service":     {"GET", "", says(500), 1, 500},
		"GET after the service ran out of time": {"GET", "", says(504), 1, 504},
		"GET of what is not there":              {"GET", "", says(404), 1, 404},
		"GET with a redirect that cannot be read":  {"GET", "", says(302, "Location", "http://%zz/"), 1, 0},
		"POST with a key after what was not clear": {"POST", "wish-17", unsure, 1, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				game := play(c.first, says(200))
				games, _ := call(t, client.Config{}, game)
				r := req(t.Context(), t, c.method, "/v1/games/7", nil)
				if c.key != "" {
					r.Header.Set("Idempotency-Key", c.key)
				}
				a := do(games, r)
				if n := len(game.requests()); n != c.sent || a.status != c.status || (a.err != nil) != (c.status == 0) {
					t.Errorf("sent %d times: %+v, want %d and status %d", n, a, c.sent, c.status)
				}
			})
		})
	}
}

func TestWhoGivesUpReturnsTheLastAnswerAsItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		game := play(overloaded)
		games, s := call(t, client.Config{}, game)
		resp, err := games.Do(req(t.Context(), t, "GET", "/v1/games/7", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		p, err := failure.ReadProblem(resp)
		if err != nil || p.Set != "chassis" || p.Code != 503 || p.ID != "01ABC" || p.RetryAfter != time.Second {
			t.Errorf("%+v, %v", p, err)
		}
		if resp.Request.URL.String() != "http://game.internal/v1/games/7" || len(game.requests()) != 3 {
			t.Errorf("%d requests of %s", len(game.requests()), resp.Request.URL)
		}
		want := "attempts_total{outcome=\"rejected\"} 3\nrequests_total 1\nretries_total 2"
		if got := s.counts(t); got != want {
			t.Errorf("counted\n%s\nwant\n%s", got, want)
		}
	})
}

func TestRetryAfterIsHonouredInBothItsForms(t *testing.T) {
	for name, c := range map[string]struct {
		after func() string
		sent  int
		took  time.Duration
	}{
		"seconds": {func() string { return "2" }, 2, 2 * time.Second},
		"a date":  {func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) }, 2, 3 * time.Second},
		"a date of RFC 850": {func() string {
			return time.Now().Add(3 * time.Second).UTC().Format("Monday, 02-Jan-06 15:04:05 GMT")
		}, 2, 3 * time.Second},
		"a date that has passed":     {func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, 2, 0},
		"what is none":               {func() string { return "soon" }, 2, 0},
		"longer than the client has": {func() string { return "6" }, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				game := play(func(w http.ResponseWriter, r *http.Request) { says(503, "Retry-After", c.after())(w, r) }, says(200))
				games, _ := call(t, client.Config{Timeout: time.Minute}, game)
				a := do(games, req(t.Context(), t, "GET", "/", nil))
				if len(game.requests()) != c.sent || a.took != c.took || a.err != nil {
					t.Errorf("%d requests, %+v, want %d in %v", len(game.requests()), a, c.sent, c.took)
				}
			})
		})
	}
}

func TestTheDeadlineIsNeverExceeded(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		timeout, own time.Duration
		first        http.HandlerFunc
		sent         int
		took         time.Duration
		status       int
	}{
		"a service that hangs":                {time.Second, 0, hang, 1, time.Second, 0},
		"a caller with less time":             {time.Hour, time.Second, hang, 1, time.Second, 0},
		"a caller with more time":             {time.Second, time.Hour, hang, 1, time.Second, 0},
		"by default":                          {0, 0, hang, 1, 5 * time.Second, 0},
		"no bound but the caller's":           {-1, time.Hour, hang, 1, time.Hour, 0},
		"a wait that would end too late":      {time.Second, 0, says(503, "Retry-After", "1"), 1, 0, 503},
		"a service that hangs after its wait": {3 * time.Second, 0, says(503, "Retry-After", "1"), 2, 3 * time.Second, 0},
		"an answer that does not end": {time.Second, 0, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, 1, time.Second, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				game := play(c.first, hang)
				games, _ := call(t, client.Config{Timeout: c.timeout}, game)
				ctx := t.Context()
				if c.own > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.own)
					defer cancel()
				}
				a := do(games, req(ctx, t, "GET", "/", nil))
				late := errors.Is(a.err, context.DeadlineExceeded)
				if len(game.requests()) != c.sent || a.took != c.took || a.status != c.status || late != (c.took > 0) {
					t.Errorf("%d requests, %+v, want %d in %v", len(game.requests()), a, c.sent, c.took)
				}
			})
		})
	}
}

func TestWhoLeavesDuringAWaitIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		game := play(says(503, "Retry-After", "2"), says(200))
		games, s := call(t, client.Config{}, game)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		a := do(games, req(ctx, t, "GET", "/", nil))
		if !errors.Is(a.err, context.Canceled) || a.took != time.Second || len(game.requests()) != 1 {
			t.Errorf("%+v", a)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if a := do(games, req(ctx, t, "GET", "/", nil)); !errors.Is(a.err, context.Canceled) {
			t.Errorf("who had left before: %+v", a)
		}
		if got := s.counts(t); !strings.Contains(got, `attempts_total{outcome="abandoned"} 1`) {
			t.Errorf("counted\n%s", got)
		}
	})
}

func TestABodyIsSentAgainIfItCanBeHadAgain(t *testing.T) {
	text := strings.Repeat("0123456789", 100)
	for name, c := range map[string]struct {
		method string
		body   io.Reader
		length int64 // -1: unknown
		most   int64
		sent   int
	}{
		"from a string":                         {"PUT", strings.NewReader(text), 1000, 10, 2},
		"of a stream":                           {"PUT", io.MultiReader(strings.NewReader(text)), -1, 1000, 2},
		"of a stream of known length":           {"PUT", io.MultiReader(strings.NewReader(text)), 1000, 1000, 2},
		"of a stream that is too large":         {"PUT", io.MultiReader(strings.NewReader(text)), -1, 999, 1},
		"of a stream that says it is too large": {"PUT", io.MultiReader(strings.NewReader(text)), 1000, 999, 1},
		"of a stream with what is no method":    {"POST", io.MultiReader(strings.NewReader(text)), -1, 1000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				game := play(says(503), says(200))
				games, _ := call(t, client.Config{MaxReplay: config.Size(c.most)}, game)
				r := req(t.Context(), t, c.method, "/v1/games/7", c.body)
				closed := &closing{ReadCloser: r.Body}
				r.Body = closed
				if c.length > 0 {
					r.ContentLength = c.length
				}
				a := do(games, r)
				if len(game.requests()) != c.sent || a.err != nil {
					t.Fatalf("sent %d times, %+v", len(game.requests()), a)
				}
				for i, seen := range game.requests() {
					if game.bodies[i] != text || c.length > 0 && seen.ContentLength != c.length {
						t.Errorf("attempt %d had %d bytes, said to be %d", i+1, len(game.bodies[i]), seen.ContentLength)
					}
				}
				if !closed.yes {
					t.Error("the body was not closed")
				}
			})
		})
	}
}

// closing notes that a body was closed.
type closing struct {
	io.ReadCloser
	yes bool
}

func (c *closing) Close() error {
	c.yes = true
	return c.ReadCloser.Close()
}

func TestABodyThatCannotBeReadIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("the disk is gone")
		game := play(says(503), says(200))
		games, _ := call(t, client.Config{}, game)
		body := &closing{ReadCloser: io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{broken}))}
		a := do(games, req(t.Context(), t, "PUT", "/", body))
		if !errors.Is(a.err, broken) || len(game.requests()) != 0 || !body.yes || !strings.Contains(a.err.Error(), "read the request's body: ") {
			t.Errorf("read in advance: %+v, closed: %v", a, body.yes)
		}
		r := req(t.Context(), t, "PUT", "/", strings.NewReader("x"))
		r.GetBody = func() (io.ReadCloser, error) { return nil, broken }
		a = do(games, r)
		if !errors.Is(a.err, broken) || len(game.requests()) != 1 || !strings.Contains(a.err.Error(), "have the request's body again: ") {
			t.Errorf("asked for again: %+v", a)
		}
	})
}

func TestARequestThatCannotBeSentAnywhereSaysNothingOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		games, s := call(t, client.Config{}, play(says(200)))
		wrong := req(t.Context(), t, "GET", "/", nil)
		wrong.Header["X-Wish"] = []string{"a\nb"}
		for _, r := range []*http.Request{wrong, req(t.Context(), t, "GET", "ftp://game.internal/", nil)} {
			if a := do(games, r); a.err == nil || a.took != 0 {
				t.Errorf("%+v", a)
			}
		}
		if want := "attempts_total{outcome=\"abandoned\"} 2\nrequests_total 2"; s.counts(t) != want {
			t.Errorf("counted\n%s\nwant\n%s", s.counts(t), want)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWhatIsHeldBackIsAnErrorOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		games, s := call(t, client.Config{Retry: retry.Config{Attempts: 1}}, play(says(503)))
		var held *retry.Throttled
		var a answer
		body := &closing{ReadCloser: http.NoBody}
		for range 11 {
			body.yes = false
			r := req(t.Context(), t, "POST", "/", body)
			a = do(games, r)
		}
		if !errors.As(a.err, &held) || held.Service != "game" || !body.yes {
			t.Errorf("%+v, body closed: %v", a, body.yes)
		}
		if u, ok := errors.AsType[*url.Error](a.err); !ok || u.Err != error(held) {
			t.Errorf("the error is %#v, want one *url.Error around", a.err)
		}
		if want := "attempts_total{outcome=\"rejected\"} 10\nrequests_total 11\nthrottled_total 1"; s.counts(t) != want {
			t.Errorf("counted\n%s\nwant\n%s", s.counts(t), want)
		}
	})
}

func TestRedirectsAreFollowedAndRefusalsBehindThemRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var paths []string
		games, _ := call(t, client.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			paths = append(paths, r.Method+" "+r.URL.Path+" "+string(body))
			switch {
			case r.URL.Path == "/old":
				http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
			case len(paths) == 2:
				says(503)(w, r)
			}
		}))
		a := do(games, req(t.Context(), t, "PUT", "/old", strings.NewReader("x")))
		if want := []string{"PUT /old x", "PUT /new x", "PUT /new x"}; a.status != 200 || !slices.Equal(paths, want) {
			t.Errorf("%+v, %q", a, paths)
		}
		r := req(t.Context(), t, "PUT", "http://game.internal/old", strings.NewReader("x"))
		resp, err := games.RoundTrip(r)
		if err != nil || resp.StatusCode != http.StatusTemporaryRedirect || resp.Request != r {
			t.Fatalf("a round trip: %+v, %v", resp, err)
		}
		resp.Body.Close()
	})
}

func TestABodyThatDoesNotComeIsNotWaitedForBeyondTheTimeOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, _ := io.Pipe()
		game := play(says(200))
		games, _ := call(t, client.Config{Timeout: time.Second}, game)
		a := do(games, req(t.Context(), t, "PUT", "/", body))
		if !errors.Is(a.err, context.DeadlineExceeded) || a.took != time.Second || len(game.requests()) != 0 {
			t.Errorf("%d requests, %+v", len(game.requests()), a)
		}
		synctest.Wait()
		if _, err := body.Read(nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the body is open: %v", err)
		}
	})
}
