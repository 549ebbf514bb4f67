package sentry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// heavy is a cause that holds on to as much as a request's body.
type heavy struct{ body [32 << 10]byte }

func (h *heavy) Error() string { return fmt.Sprintf("the body of %d bytes does not fit", len(h.body)) }

// broken is a service whose every route fails, and which reports to Sentry.
func broken(t *testing.T, c clock.Clock, cfg sentry.Config) *chassis.Instance {
	t.Helper()
	r := chassis.NewRouter()
	r.Handle("GET /down/{n}", func(http.ResponseWriter, *http.Request) error { return errDown.Wrap(&heavy{}) })
	r.Handle("GET /lost/{n}", func(http.ResponseWriter, *http.Request) error { return errLost.With("n", failure.Safe(1)) })
	r.Handle("GET /panic/{n}", func(http.ResponseWriter, *http.Request) error { panic(&heavy{}) })
	r.Handle("GET /unknown/{n}", func(http.ResponseWriter, *http.Request) error { return errors.New("nobody declared this") })
	r.Handle("GET /full/{n}", func(http.ResponseWriter, *http.Request) error { return errFull.New() })
	type conf struct {
		HTTP chassis.HTTPConfig `config:"http"`
	}
	spec := chassis.Spec[conf]{Name: "game", Failures: codes, Setup: func(_ context.Context, s *chassis.Service, cfgs conf) error {
		if err := sentry.Use(s, cfg); err != nil {
			return err
		}
		return s.HTTP("http", cfgs.HTTP, r)
	}}
	i, err := chassis.Start(t.Context(), spec, func(s *chassis.Settings, _ *conf) { s.AccessLog.Path = "off" },
		chassis.World{Clock: c, Log: zap.NewNop(), Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return i
}

// ask is an answer of the admin listener, as JSON.
func ask(t *testing.T, i *chassis.Instance, query string) (status int, page struct {
	Groups  []aggregate.Group `json:"groups"`
	Found   *aggregate.Seen   `json:"found"`
	Problem string            `json:"problem"`
}) {
	t.Helper()
	res, err := http.Get("http://" + i.Addr("admin").String() + "/errors?format=json" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, page
}

// live is the memory that is in use.
func live() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held on to
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAServiceThatFailsAsFastAsItIsAskedTellsTheTruth(t *testing.T) {
	const clients = 4
	requests := 20_000
	if raceEnabled { // which takes ten times as long for each
		requests = 2_000
	}
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c, Quotas: []sentryfake.Quota{{Category: "error", Items: 60, Per: time.Second}}})
	i := broken(t, c, to(t, f))
	routes := []string{"down", "lost", "panic", "unknown", "full"}
	numbers := map[string]int{"down": 1201, "lost": 1301, "panic": 1, "unknown": 1, "full": 1042}
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	fail := func(n int) (id string, err error) {
		route := routes[n%len(routes)]
		res, err := client.Get(fmt.Sprintf("http://%s/%s/%d", i.Addr("http"), route, n))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		p, err := failure.ParseProblem(res.Body)
		if err != nil {
			return "", err
		}
		if p.Code != numbers[route] {
			return "", fmt.Errorf("%s is answered with code %d", route, p.Code)
		}
		_, err = io.Copy(io.Discard, res.Body)
		return p.ID, err
	}

	ids := make([]string, requests)
	storm := func(from, to int) {
		t.Helper()
		var wg sync.WaitGroup
		for k := range clients {
			wg.Go(func() {
				for n := from + k; n < to; n += clients {
					id, err := fail(n)
					if err != nil {
						t.Errorf("request %d: %v", n, err)
						return
					}
					ids[n] = id
					if n%100 == 0 {
						c.Advance(time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
	}
	storm(0, requests/10) // until all that is made once is there
	before := live()
	begin := time.Now()
	storm(requests/10, requests)
	took := time.Since(begin)
	if t.Failed() {
		t.FailNow()
	}
	// Each of the failures of two routes held 32 KiB.
	if grown := int64(live()) - int64(before); grown > 8<<20 {
		t.Errorf("%d bytes more are in use", grown)
	}

	want := map[int]uint64{}
	for _, number := range numbers {
		want[number] += uint64(requests / len(routes))
	}
	_, page := ask(t, i, "")
	counts, seen := map[int]uint64{}, map[string]bool{}
	for _, g := range page.Groups {
		counts[g.Code.Number] += g.Count
		for _, s := range g.Seen {
			seen[s.ID] = true
		}
	}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("/errors counts %v, want %v", counts, want)
	}
	if len(seen) != 64*len(routes) || len(page.Groups) != len(routes) {
		t.Errorf("%d ids are remembered of %d groups", len(seen), len(page.Groups))
	}
	found, forgotten, told := 0, 0, map[string]bool{}
	for _, id := range ids {
		if told[id] {
			t.Errorf("error id %s was told twice", id)
		}
		told[id] = true
		if !seen[id] && forgotten >= 50 {
			continue
		}
		switch status, page := ask(t, i, "&id="+id); {
		case seen[id] && status == 200 && page.Found != nil && page.Found.ID == id:
			found++
		case !seen[id] && status == 404 && page.Problem == "Error id "+id+" is not among the newest of any group. Look for it in the logs.":
			forgotten++
		default:
			t.Fatalf("error id %s, which is remembered: %v, is answered with %d, %+v", id, seen[id], status, page)
		}
	}
	if found != len(seen) {
		t.Errorf("%d of %d remembered ids were told to somebody", found, len(seen))
	}

	counted(t, f, c, uint64(requests-requests/len(routes)))
	delete(want, 1042) // of which nobody is to hear
	got := map[int]uint64{}
	for _, e := range f.Events() {
		got[e.Code()] += e.Count()
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events tell of %v, want %v", got, want)
	}
	if stats := f.Stats(); stats.RateLimited+stats.Early != 0 || stats.Events > 20*len(routes) {
		t.Errorf("stats are %+v: want no request too many, and few events of many failures", stats)
	}
	t.Logf("%d failures, %.0f a second, in %d events", requests, float64(requests)*0.9/took.Seconds(), f.Stats().Events)
}
