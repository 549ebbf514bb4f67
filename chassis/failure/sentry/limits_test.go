package sentry_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
)

func TestLimitsAreReadAsSentryDocumentsThem(t *testing.T) {
	const limits, retry = "X-Sentry-Rate-Limits", "Retry-After"
	for name, c := range map[string]struct {
		status int
		header map[string]string
		want   time.Duration
	}{
		"nothing":                             {200, nil, 0},
		"429 that does not say":               {429, nil, time.Minute},
		"seconds":                             {429, map[string]string{retry: "2700"}, 45 * time.Minute},
		"a part of a second":                  {429, map[string]string{retry: "0.5"}, 500 * time.Millisecond},
		"a date":                              {503, map[string]string{retry: "Fri, 02 Jan 2026 03:05:05 GMT"}, time.Minute},
		"a date that has passed":              {503, map[string]string{retry: "Fri, 02 Jan 2026 03:00:00 GMT"}, 0},
		"a date far away":                     {503, map[string]string{retry: "Fri, 02 Jan 2099 03:00:00 GMT"}, 24 * time.Hour},
		"nonsense":                            {429, map[string]string{retry: "soon"}, time.Minute},
		"retry after a good answer":           {200, map[string]string{retry: "60"}, 0},
		"our category":                        {429, map[string]string{limits: "60:transaction:key, 2700:default;error;security:organization"}, 45 * time.Minute},
		"all categories":                      {429, map[string]string{limits: "60::organization, 2700::organization"}, 45 * time.Minute},
		"other categories only":               {429, map[string]string{limits: "60:transaction:key", retry: "60"}, 0},
		"in a good answer":                    {200, map[string]string{limits: "10:error:key:reason:ns:more"}, 10 * time.Second},
		"with spaces":                         {200, map[string]string{limits: " 10 : error ; default : key "}, 10 * time.Second},
		"longer than anybody waits":           {200, map[string]string{limits: "1e300:error:key"}, 24 * time.Hour},
		"nonsense before what can be read":    {200, map[string]string{limits: "x:error, NaN:error, -1:error, 7:error"}, 7 * time.Second},
		"nothing but nonsense, retry after":   {429, map[string]string{limits: "x", retry: "5"}, 5 * time.Second},
		"a number alone limits nothing known": {200, map[string]string{limits: "60"}, 0},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		if got := sentry.WaitOf(c.status, h, epoch); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func FuzzWaitOf(f *testing.F) {
	f.Add(429, "60:transaction:key, 2700:default;error;security:organization", "60")
	f.Add(200, "::,x", "Fri, 02 Jan 2026 03:05:05 GMT")
	f.Fuzz(func(t *testing.T, status int, limits, retry string) {
		wait := sentry.WaitOf(status, http.Header{"X-Sentry-Rate-Limits": {limits}, "Retry-After": {retry}}, epoch)
		if wait < 0 || wait > 24*time.Hour {
			t.Errorf("a wait of %v", wait)
		}
	})
}

func FuzzParseDSN(f *testing.F) {
	f.Add("https://key:secret@o1.ingest.sentry.io/path/42")
	f.Add("http://k@[::1]:9000/1")
	f.Fuzz(func(t *testing.T, dsn string) {
		address, auth, err := sentry.ParseDSN(dsn)
		if err != nil {
			return
		}
		req, err := http.NewRequest(http.MethodPost, address, nil)
		if err != nil {
			t.Fatalf("%q gives an address that is none: %v", dsn, err)
		}
		if req.URL.User != nil || req.URL.Host == "" {
			t.Errorf("%q gives %s", dsn, address)
		}
		for _, c := range auth {
			if c < ' ' || c > '~' {
				t.Errorf("%q gives a header with %q in it", dsn, c)
			}
		}
	})
}
