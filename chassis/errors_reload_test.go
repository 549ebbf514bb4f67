package chassis_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

// fail has the daemon fail n times and returns the last error id.
func (d *running) fail(n int) (id string) {
	d.t.Helper()
	for range n {
		code, body, err := d.ask("http", "/fail")
		if err != nil || code != 503 {
			d.t.Fatalf("%d %q, %v", code, body, err)
		}
		p, err := failure.ParseProblem(strings.NewReader(body))
		if err != nil {
			d.t.Fatal(err)
		}
		id = p.ID
	}
	return id
}

// store is the group of the failures of /fail, as /errors shows it.
func (d *running) store() aggregate.Group {
	d.t.Helper()
	for _, g := range parse[failedPage](d.t, d.must("admin", "/errors?format=json")).Groups {
		if g.Code.Number == 1201 {
			return g
		}
	}
	d.t.Fatal("the group is not there")
	return aggregate.Group{}
}

// pin pins or unpins a group.
func (d *running) pin(key, pinned string) {
	d.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm("http://"+d.addr("admin").String()+"/errors/pin", url.Values{"group": {key}, "pinned": {pinned}})
	if err != nil {
		d.t.Fatal(err)
	}
	if a := read(res); a.StatusCode != 303 {
		d.t.Fatalf("pinned=%s: %d %s", pinned, a.StatusCode, a.body)
	}
}

// want expects the group to have failed so often, and to be pinned or not, whichever worker answers.
func (d *running) want(when string, count uint64, pinned bool) {
	d.t.Helper()
	if g := d.store(); g.Count != count || g.Pinned != pinned {
		d.t.Errorf("%s: it failed %d times, pinned %v; want %d, %v", when, g.Count, g.Pinned, count, pinned)
	}
}

func TestWhatFailedAndWasPinnedBeforeAReloadIsKnownBehindItOnce(t *testing.T) {
	t.Parallel()
	d := serving(t, "live", nil)
	old := d.fail(3)
	d.want("in the first worker", 3, false)
	d.pin(d.store().Key, "true")
	found := func(when, id string) {
		t.Helper()
		if f := parse[failedPage](t, d.must("admin", "/errors?format=json&id="+id)); f.Found == nil || f.Found.ID != id {
			t.Errorf("%s: error id %s is not found: %+v", when, id, f)
		}
	}

	stay := d.stay() // keeps the first worker
	d.reload()
	if n := len(d.status().Workers); n != 2 {
		t.Fatalf("%d workers", n)
	}
	d.want("in the second, while the first drains", 3, true)
	young := d.fail(2)
	d.want("after failures in the second", 5, true)
	found("while the first drains", old)
	d.pin(d.store().Key, "false")
	d.want("unpinned in the second, which did not pin it", 5, false)

	_ = stay.Close()
	d.one()
	d.want("when the first has ended", 5, false)
	found("when the first has ended", old)
	d.pin(d.store().Key, "true")

	d.reload()
	d.one()
	d.want("in the third", 5, true)
	found("in the third", young)
	d.pin(d.store().Key, "false") // the third has not seen one of them
	d.want("unpinned in the third", 5, false)
	d.reload()
	d.one()
	d.want("in the fourth", 5, false)
	last := d.fail(1)
	d.want("after a failure in the fourth", 6, false)
	for _, id := range []string{old, young, last} {
		found("in the fourth", id)
	}
	sample := d.store().Sample
	if sample == nil || sample.ID != last {
		t.Errorf("the sample is %+v, want that of %s", sample, last)
	}
	metrics := series(t, d.must("admin", "/metrics"))
	if n := metrics["failure_total{class=dependency,code=1201}"]; n != 6 {
		t.Errorf("failure_total says %v, want 6", n)
	}
}
