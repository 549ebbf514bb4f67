package lossbench_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

func TestNothingIsLostOfAServiceThatStays(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 2 * time.Millisecond} {
		i := startTarget(t, nil)
		load, err := lossbench.Start(lossbench.Options{
			HTTP: i.Addr("http").String(), HTTPS: i.Addr("https").String(), GRPC: i.Addr("grpc").String(),
			HealthAddr: i.Addr("grpc").String(), URLs: []string{"http://" + i.Addr("http").String() + "/work?ms=1"},
			Delay: delay, Idle: 400 * time.Millisecond, Timeout: within,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer load.Stop()
		eventually(t, "twenty requests of each protocol", func() bool {
			for _, r := range load.Results() {
				if r.Requests < 20 && r.Protocol != "sse" || r.Requests == 0 {
					return false
				}
			}
			return true
		})
		results := load.Stop()
		if len(results) != len(lossbench.Protocols()) {
			t.Errorf("%d results", len(results))
		}
		for n, r := range results {
			if want := lossbench.Protocols()[n].Name; r.Protocol != want {
				t.Errorf("result %d is of %s, want %s", n, r.Protocol, want)
			}
			if r.Failed > 0 || r.Reopens > 0 || r.SeenClose > 0 || r.Reload.Count > 0 {
				t.Errorf("%s: %d failed %v, %d reopens, %d closes seen, %d in reloads", r.Protocol, r.Failed, r.Causes, r.Reopens, r.SeenClose, r.Reload.Count)
			}
			if r.Quiet.Count != r.Requests || r.Quiet.P50 < lossbench.Milliseconds(2*delay.Seconds()*1000) || r.Quiet.P99 < r.Quiet.P50 || r.Quiet.Max < r.Quiet.P99 {
				t.Errorf("%s: latencies %+v of %d requests at a distance of %v", r.Protocol, r.Quiet, r.Requests, delay)
			}
		}
	}
}

func TestTheRateIsAboutWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	i := startTarget(t, nil)
	// Of 300 a second over all protocols, 400 in 1500 are busy HTTP/1.1. A busy machine may hold up some of them.
	var rate float64
	for range 10 {
		begin := time.Now()
		r := one(t, lossbench.Options{HTTP: i.Addr("http").String(), Protocols: []string{"h1"}, Rate: 300},
			func(lossbench.Result) bool { return time.Since(begin) > time.Second })
		if rate = float64(r.Requests) / time.Since(begin).Seconds(); rate >= 30 && rate <= 120 {
			return
		}
	}
	t.Errorf("%.0f requests a second, want about 80", rate)
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]lossbench.Options{
		"no protocol":                        {},
		"rate -1":                            {HTTP: "127.0.0.1:1", Rate: -1},
		"rate 1e+09":                         {HTTP: "127.0.0.1:1", Rate: 1e9},
		"negative":                           {HTTP: "127.0.0.1:1", Idle: -1},
		"delay 2s":                           {HTTP: "127.0.0.1:1", Delay: 2 * time.Second},
		"missing port":                       {GRPC: "localhost"},
		"URL \"ftp://x/\"":                   {URLs: []string{"ftp://x/"}},
		"URL \"http:///x\"":                  {URLs: []string{"http:///x"}},
		"unknown protocol \"h3\"":            {HTTP: "127.0.0.1:1", Protocols: []string{"h3"}},
		"protocol grpc: there is no address": {HTTP: "127.0.0.1:1", Protocols: []string{"grpc"}},
	} {
		if l, err := lossbench.Start(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
			if l != nil {
				l.Stop()
			}
		}
	}
}
