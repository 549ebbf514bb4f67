package report_test

import (
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/report"
)

func TestPathsThatDifferByIdsAreOneRoute(t *testing.T) {
	for path, want := range map[string]string{
		"/":                         "/",
		"":                          "",
		"*":                         "*",
		"/games":                    "/games",
		"/games/":                   "/games/",
		"/games/1042":               "/games/{n}",
		"/games/1042/moves/7":       "/games/{n}/moves/{n}",
		"/games/7?full=1":           "/games/{n}",
		"/about?a=/b/1":             "/about",
		"/v1/users":                 "/v1/users",
		"/game.v1.GameService/Move": "/game.v1.GameService/Move",
		"/orders/9b2d4c1e-8f3a-4d5b-9c6e-7f8a9b0c1d2e":     "/orders/{uuid}",
		"/orders/9B2D4C1E-8F3A-4D5B-9C6E-7F8A9B0C1D2E/pay": "/orders/{uuid}/pay",
		"/reports/2026-11-28":                              "/reports/{date}",
		"/static/app.3f2a9c1b.js":                          "/static/app.{hex}.js",
		"/static/jquery-3.7.1.min.js":                      "/static/jquery-3.7.1.min.js",
		"/photo/img_20261128_0042.jpg":                     "/photo/img_{n}_{n}.jpg",
		"/articles/how-to-play-12345":                      "/articles/how-to-play-{n}",
		"/reset/k2Vw9ZtQ4xB7mNpR3sYd":                      "/reset/{token}",
		"/user/ada@example.org":                            "/user/{email}",
		"/user/ada%40example.org":                          "/user/{email}",
		"/s/" + strings.Repeat("x", 65):                    "/s/{token}",
		"/d41d8cd98f00b204":                                "/{token}",
		"/deadbeef/cafe":                                   "/deadbeef/cafe",
		"/commit/d41d8cd9":                                 "/commit/{hex}",
	} {
		if got := report.RouteOf(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestDeepPathsAndLongPathsEnd(t *testing.T) {
	if got := report.RouteOf(strings.Repeat("/a1", 5000)); got != strings.Repeat("/a1", 12)+"/…" {
		t.Errorf("a deep path is %s", got)
	}
	if got := report.RouteOf(strings.Repeat("/"+strings.Repeat("ab", 30), 100)); len(got) > 300 || !strings.HasSuffix(got, "…") {
		t.Errorf("a long path is %d bytes", len(got))
	}
}
