package fake_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/fake"
)

// The ledger is a service that keeps sums in a journal.
type ledgerConfig struct {
	HTTP     chassis.HTTPConfig `config:"http"`
	Journals int                `config:"journals"`
	Journal  string             `config:"journal"`
}

var ledgerSpec = chassis.Spec[ledgerConfig]{
	Name: "ledger", Defaults: ledgerConfig{Journals: 1, Journal: "mem:"}, Setup: setupLedger,
	Event: func(stream, kind string, data []byte) error {
		if kind != "added" && kind != "burnt" {
			return fmt.Errorf("stream %q has no events of type %q", stream, kind)
		}
		_, err := strconv.Atoi(string(data))
		return err
	},
}

func setupLedger(ctx context.Context, s *chassis.Service, cfg ledgerConfig) error {
	var j journal.Journal
	for range cfg.Journals {
		var err error
		if j, err = journal.Open(ctx, s, cfg.Journal, sqlite.Engine); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	total, last := 0, ""
	take := func(e journal.Recorded) error {
		if e.Type == "burnt" {
			return fmt.Errorf("position %d: the ledger is burnt", e.Position)
		}
		n, err := strconv.Atoi(string(e.Data))
		total += n
		last = fmt.Sprint(e.Position, " ", e.ID, " ", e.Time.UTC().Format("15:04:05"))
		return err
	}
	if j != nil {
		for e, err := range j.All(ctx, 0, journal.Filter{}) {
			if err == nil {
				err = take(e)
			}
			if err != nil {
				return err
			}
		}
	}
	r := chassis.NewRouter()
	r.Handle("POST /add/{n}", func(w http.ResponseWriter, r *http.Request) error {
		mu.Lock()
		defer mu.Unlock()
		e := journal.Event{ID: strconv.Itoa(total), Type: "added", Data: []byte(r.PathValue("n"))}
		v, err := j.Append(r.Context(), "sums", journal.Any, e)
		if err != nil {
			return err
		}
		if err := take(journal.Recorded{Event: e, Position: v, Time: s.Clock().Now()}); err != nil {
			return err
		}
		fmt.Fprint(w, total)
		return nil
	})
	r.Handle("GET /total", func(w http.ResponseWriter, r *http.Request) error {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprint(w, total, "; ", last)
		return nil
	})
	return s.HTTP("http", cfg.HTTP, r)
}

// of makes a request of a tenant, "" for the fake itself.
func of(tb testing.TB, f *fake.Fake, tenant, method, path string) answer {
	tb.Helper()
	got, err := askTenant(tb.Context(), f, tenant, method, path)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// connections are used again: tenants share them.
func askTenant(ctx context.Context, f *fake.Fake, tenant, method, path string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.URL("http")+path, nil)
	if err != nil {
		return answer{}, err
	}
	if tenant != "" {
		req.Header.Set(fake.TenantHeader, tenant)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	body, err := readAll(resp)
	return answer{resp.StatusCode, resp.Header, strings.TrimSpace(body)}, err
}
