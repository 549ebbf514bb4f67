package echo_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/fake"

	"github.com/seed-754044b3/roadworthy/template/echofake"
	"github.com/seed-754044b3/roadworthy/template/echov1"
	"github.com/seed-754044b3/roadworthy/template/internal/echo"
)

// messages are what may be said and what is answered: a failure's code, or 0 for an echo.
var messages = map[string]struct {
	message string
	failure int
}{
	"a word":            {"hi", 0},
	"other scripts":     {"žluťoučký kůň 🐎", 0},
	"as long as it can": {strings.Repeat("ě", 1000), 0},
	"nothing":           {"", 1001},
	"too long":          {strings.Repeat("ě", 1001), 1002},
}

func TestItEchoesOverGRPC(t *testing.T) {
	client := dial(t, echofake.Start(t))
	for name, c := range messages {
		got, err := client.Echo(t.Context(), &echov1.EchoRequest{Message: c.message})
		if c.failure == 0 {
			if err != nil || got.GetMessage() != c.message {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		f, _ := grpcclient.FailureOf(err)
		if f.Set != echo.Name || f.Code != c.failure || status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, %+v, want code %d", name, err, f, c.failure)
		}
	}
}

func TestItEchoesAsJSON(t *testing.T) {
	url := echofake.Start(t).URL("http") + "/v1/echo"
	for name, c := range messages {
		body, err := json.Marshal(map[string]string{"message": c.message})
		if err != nil {
			t.Fatal(err)
		}
		wantStatus, want := http.StatusOK, string(body)
		if c.failure != 0 {
			wantStatus, want = http.StatusBadRequest, ""
		}
		status, got := send(t, http.MethodPost, url, bytes.NewReader(body))
		if status != wantStatus || want != "" && !same(got, want) || codeOf(got) != c.failure {
			t.Errorf("POST %s: %d %s", name, status, got)
		}
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		query := req.URL.Query()
		query.Set("message", c.message)
		req.URL.RawQuery = query.Encode()
		status, got = send(t, http.MethodGet, req.URL.String(), nil)
		if status != wantStatus || want != "" && !same(got, want) || codeOf(got) != c.failure {
			t.Errorf("GET %s: %d %s", name, status, got)
		}
	}
	if status, got := send(t, http.MethodHead, url+"?message=hi", nil); status != http.StatusOK || got != "" {
		t.Errorf("HEAD: %d %q", status, got)
	}
}

func TestWhatItCannotReadItRefuses(t *testing.T) {
	url := echofake.Start(t).URL("http")
	for name, c := range map[string]struct {
		method, path, body string
		status, code       int
	}{
		"broken JSON":       {"POST", "/v1/echo", `{"message":`, 400, 400},
		"another type":      {"POST", "/v1/echo", `{"message":1}`, 400, 400},
		"an unknown field":  {"POST", "/v1/echo", `{"massage":"hi"}`, 400, 400},
		"a body too large":  {"POST", "/v1/echo", `{"message":"` + strings.Repeat("x", 2<<20) + `"}`, 413, 413},
		"an unknown route":  {"GET", "/v1/ecco", "", 404, 404},
		"an unknown method": {"PUT", "/v1/echo", "{}", 405, 405},
	} {
		status, got := send(t, c.method, url+c.path, strings.NewReader(c.body))
		if status != c.status || codeOf(got) != c.code {
			t.Errorf("%s: %d %s, want status %d and code %d", name, status, got, c.status, c.code)
		}
	}
}

func TestABodyThatDoesNotArriveIsGivenUp(t *testing.T) {
	f := fake.Start(t, echo.Spec, fake.Options[echo.Config]{
		Configure: func(_ *chassis.Settings, c *echo.Config) { c.HTTP.BodyTimeout = 1 },
	})
	body, more := io.Pipe()
	defer more.Close()
	if status, got := send(t, http.MethodPost, f.URL("http")+"/v1/echo", body); status != http.StatusRequestTimeout || codeOf(got) != 408 {
		t.Errorf("%d %s", status, got)
	}
}

// dial is a client of the fake for the length of the test.
func dial(t *testing.T, f *fake.Fake) echov1.EchoServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(f.Addr("grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return echov1.NewEchoServiceClient(conn)
}

func send(t *testing.T, method, url string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// same compares two JSON documents of strings.
func same(a, b string) bool {
	var x, y map[string]string
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && len(x) == 1 && x["message"] == y["message"]
}

// codeOf is the failure code in a problem document, 0 in others.
func codeOf(document string) int {
	var problem struct{ Code int }
	_ = json.Unmarshal([]byte(document), &problem) // an echo has none
	return problem.Code
}
