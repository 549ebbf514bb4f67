//go:build linux

package front_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/front"
)

func TestAProxyPassesRequestsOn(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q %q", r.URL.Path, r.Header.Get("X-Forwarded-For"), r.Header.Get("Forwarded"))
	}))
	t.Cleanup(service.Close) // after the subtests
	for _, program := range []string{"haproxy", "nginx"} {
		for mode, want := range map[string]string{
			"http":       `/x "" ""`,
			"forwardfor": `/x "127.0.0.1" ""`,
			"forwarded":  `/x "" "for=127.0.0.1;proto=http"`,
		} {
			t.Run(program+" "+mode, func(t *testing.T) {
				t.Parallel()
				addr := front.Proxy{Program: program, Mode: mode}.Start(t, service.Listener.Addr().String())
				res, err := http.Get("http://" + addr + "/x")
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if got := strings.ReplaceAll(string(body), `", for=`, `"for=`); err != nil || got != want {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
			})
		}
	}
}
