package failure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

func write(method string, p failure.Problem, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	failure.WriteProblem(w, httptest.NewRequest(method, "/", nil), p)
	return w
}

func TestAProblemHoldsOnlyWhatClientsMaySee(t *testing.T) {
	e := errStore.With("token", "s3cr3t").With("shard", failure.Safe("eu-1")).With("shard", failure.Safe("eu-2")).
		Wrap(errors.New("dial 10.0.0.7: refused"))
	got := e.Problem("ABCDEFGH0123")
	want := failure.Problem{
		Type: "urn:failure:game:1201", Title: "the game store does not answer", Status: 502,
		Detail: "the game store does not answer (shard=eu-1, shard=eu-2)",
		Set:    "game", Code: 1201, Class: failure.Dependency, Retryable: true, ID: "ABCDEFGH0123",
		Args: map[string]string{"shard": "eu-2"}, RetryAfter: 1500 * time.Millisecond,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
	body := write(http.MethodGet, got).Body.String()
	for _, secret := range []string{"s3cr3t", "token", "10.0.0.7"} {
		if strings.Contains(body, secret) {
			t.Errorf("%s left the process: %s", secret, body)
		}
	}
}

func TestWriteProblemSetsTheHeader(t *testing.T) {
	w := write(http.MethodPost, errColumnFull.New().Problem(""),
		"Content-Encoding", "gzip", "Etag", `"1"`, "Last-Modified", "x", "Content-Length", "7", "Retry-After", "99", "Allow", "GET",
		"Content-Disposition", "attachment", "Content-Language", "de", "Content-Location", "/x", "Content-Range", "bytes 0-1/2")
	body := `{"type":"urn:failure:game:1042","title":"column is full","status":409,"detail":"column is full",` +
		`"set":"game","code":1042,"class":"caller","retryable":false}` + "\n"
	want := http.Header{
		"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Content-Length": {strconv.Itoa(len(body))}, "Allow": {"GET"},
	}
	if w.Code != http.StatusConflict || w.Body.String() != body || !reflect.DeepEqual(w.Header(), want) {
		t.Errorf("%d %v\n%s\nwant 409 %v\n%s", w.Code, w.Header(), w.Body, want, body)
	}
}

func TestRetryAfterIsRoundedUpToWholeSeconds(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0: "", 1: "1", time.Second: "1", time.Second + 1: "2", 1500 * time.Millisecond: "2", time.Hour: "3600",
		1<<63 - 1: "9223372037",
	} {
		if got := write(http.MethodGet, errColumnFull.New().After(after).Problem("")).Header().Get("Retry-After"); got != want {
			t.Errorf("after %v: Retry-After %q, want %q", after, got, want)
		}
	}
	if got := write(http.MethodGet, failure.Problem{Status: 500, RetryAfter: time.Second}).Header().Values("Retry-After"); got != nil {
		t.Errorf("what is not retryable has Retry-After %q", got)
	}
}

func TestHEADHasTheSameHeaderAndNoBody(t *testing.T) {
	p := errStore.New().Problem("ABCDEFGH0123")
	head, get := write(http.MethodHead, p), write(http.MethodGet, p)
	if head.Body.Len() != 0 || head.Code != get.Code || !reflect.DeepEqual(head.Header(), get.Header()) {
		t.Errorf("HEAD %d %v %q, GET %d %v", head.Code, head.Header(), head.Body, get.Code, get.Header())
	}
}

func TestAStatusThatIsNoFailureBecomes500(t *testing.T) {
	for _, status := range []int{-1, 0, 99, 200, 304, 399, 600, 1000} {
		w := write(http.MethodGet, failure.Problem{Status: status})
		if w.Code != 500 || w.Body.String() != `{"status":500,"retryable":false}`+"\n" {
			t.Errorf("%d: answered %d %s", status, w.Code, w.Body)
		}
	}
	for _, status := range []int{400, 499, 599} {
		if w := write(http.MethodGet, failure.Problem{Status: status}); w.Code != status {
			t.Errorf("%d: answered %d", status, w.Code)
		}
	}
}

func TestAProblemArrivesAsItWasSent(t *testing.T) {
	sent := errStore.With("who", failure.Safe("<a & \"b\"> ü")).With("b", failure.Safe("\x00")).Problem("ABCDEFGH0123")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		failure.WriteProblem(w, r, sent)
	}))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := failure.ReadProblem(resp)
	sent.RetryAfter = 2 * time.Second
	if err != nil || !reflect.DeepEqual(*got, sent) {
		t.Errorf("%+v, %v\nwant\n%+v", got, err, sent)
	}
}

func TestProblemsOfOtherMakersAreReadAsTheRFCDemands(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		want     failure.Problem
	}{
		"empty": {`{}`, failure.Problem{Type: "about:blank"}},
		"the example of RFC 9457": {`{"type":"https://example.com/probs/out-of-credit","title":"You do not have enough credit.",
			"detail":"Your current balance is 30, but that costs 50.","instance":"/account/12345/msgs/abc","balance":30,"accounts":["/account/12345"]}`,
			failure.Problem{Type: "https://example.com/probs/out-of-credit", Title: "You do not have enough credit.",
				Detail: "Your current balance is 30, but that costs 50.", Instance: "/account/12345/msgs/abc"}},
		"wrong types": {`{"type":1,"title":{},"status":"404","detail":[],"instance":true,"set":1,"code":"x","class":3,"retryable":"yes","id":7,"args":{"a":1}}`,
			failure.Problem{Type: "about:blank"}},
		"nulls":                {`{"type":null,"status":null,"class":null,"args":null,"retryable":null}`, failure.Problem{Type: "about:blank"}},
		"values out of bounds": {`{"status":1000,"code":-5,"class":"mystery","args":{}}`, failure.Problem{Type: "about:blank"}},
		"a status below 100":   {`{"status":99}`, failure.Problem{Type: "about:blank"}},
		"names in capitals are other names": {`{"TITLE":"x","title":"y","Status":404}`,
			failure.Problem{Type: "about:blank", Title: "y"}},
		"ours": {`{"type":"urn:failure:a:1001","status":404,"set":"a","code":1001,"class":"not_problem","retryable":true,"id":"X","args":{"k":"v"}}`,
			failure.Problem{Type: "urn:failure:a:1001", Status: 404, Set: "a", Code: 1001, Class: failure.NotProblem, Retryable: true, ID: "X",
				Args: map[string]string{"k": "v"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := failure.ParseProblem(strings.NewReader(c.document))
			if err != nil || !reflect.DeepEqual(*got, c.want) {
				t.Errorf("%+v, %v\nwant\n%+v", got, err, c.want)
			}
		})
	}
}

// endless fails the test when more is read of it than the bound allows.
type endless struct {
	t    *testing.T
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	if e.read += len(p); e.read > 1<<20 {
		e.t.Error("read without bound")
		return 0, io.EOF
	}
	return len(p), nil
}

func TestWhatIsNoProblemDocumentIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		body io.Reader
		want string
	}{
		"nothing":        {strings.NewReader(""), "parse problem document: unexpected end of JSON input"},
		"null":           {strings.NewReader("null"), "parse problem document: null is no JSON object"},
		"a list":         {strings.NewReader("[]"), "parse problem document: json: cannot unmarshal array"},
		"a page":         {strings.NewReader("<html>"), "parse problem document: invalid character '<'"},
		"something more": {strings.NewReader(`{} {}`), "parse problem document: invalid character '{' after top-level value"},
		"cut short":      {strings.NewReader(`{"title":"x`), "parse problem document: unexpected end of JSON input"},
		"endless":        {&endless{t: t}, "read problem document: more than 65536 bytes"},
		"broken off":     {iotest.ErrReader(io.ErrUnexpectedEOF), "read problem document: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := failure.ParseProblem(c.body)
			if p != nil || err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, error %v, want %s", p, err, c.want)
			}
		})
	}
}

func TestReadProblemTellsWhatItCanOfAnyAnswer(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	for name, c := range map[string]struct {
		status    int
		header    map[string]string
		body      string
		want      string
		after     time.Duration
		err       string
		noProblem bool
	}{
		"a document":                {409, map[string]string{"Content-Type": "application/problem+json"}, `{"title":"x","status":400}`, "problem 409: x", 0, "", false},
		"a document with a charset": {409, map[string]string{"Content-Type": "Application/Problem+JSON; charset=utf-8"}, `{"title":"x"}`, "problem 409: x", 0, "", false},
		"a proxy's page": {502, map[string]string{"Content-Type": "text/html"}, "<html>", "problem 502: Bad Gateway", 0,
			`answer 502 with content type "text/html": not a problem document`, true},
		"no type": {418, nil, "", "problem 418: I'm a teapot", 0, `answer 418 with content type "": not a problem document`, true},
		"a broken document": {500, map[string]string{"Content-Type": "application/problem+json"}, "{", "problem 500: Internal Server Error", 0,
			"answer 500: parse problem document: unexpected end of JSON input", false},
		"an unknown status":  {599, map[string]string{"Content-Type": "application/problem+json"}, "{}", "problem 599", 0, "", false},
		"wait in seconds":    {503, map[string]string{"Content-Type": "application/problem+json", "Retry-After": "120"}, "{}", "problem 503: Service Unavailable", 2 * time.Minute, "", false},
		"wait on a page":     {503, map[string]string{"Retry-After": "7"}, "", "problem 503: Service Unavailable", 7 * time.Second, `answer 503 with content type ""`, true},
		"wait until":         {503, map[string]string{"Content-Type": "application/problem+json", "Date": date, "Retry-After": "Sun, 06 Nov 1994 08:50:07 GMT"}, "{}", "problem 503: Service Unavailable", 30 * time.Second, "", false},
		"wait until earlier": {503, map[string]string{"Content-Type": "application/problem+json", "Date": date, "Retry-After": "Sun, 06 Nov 1994 08:00:00 GMT"}, "{}", "problem 503: Service Unavailable", 0, "", false},
		"wait without date":  {503, map[string]string{"Content-Type": "application/problem+json", "Retry-After": date}, "{}", "problem 503: Service Unavailable", 0, "", false},
		"wait for nonsense":  {503, map[string]string{"Content-Type": "application/problem+json", "Retry-After": "-3"}, "{}", "problem 503: Service Unavailable", 0, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body))}
			for key, value := range c.header {
				resp.Header.Set(key, value)
			}
			p, err := failure.ReadProblem(resp)
			if p.Error() != c.want || p.Status != c.status || p.RetryAfter != c.after {
				t.Errorf("%v, wait %v, want %s, wait %v", p, p.RetryAfter, c.want, c.after)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if errors.Is(err, failure.ErrNoProblem) != c.noProblem {
				t.Errorf("errors.Is(%v, ErrNoProblem) is %v", err, !c.noProblem)
			}
		})
	}
}

func TestAProblemAsAnErrorIsOneLine(t *testing.T) {
	p := &failure.Problem{Detail: "a\r\nb\x1b[31m\xff", ID: "X"}
	if got := p.Error(); got != "problem: a  b [31m  [X]" {
		t.Errorf("%q", got)
	}
	p = &failure.Problem{Status: 400, Code: 7}
	if got := p.Error(); got != "problem 400, 7: Bad Request" {
		t.Errorf("without a set: %q", got)
	}
}

func FuzzParseProblem(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"status":404,"title":"x"}`, `{"status":1e3,"code":1.5}`, `{"a":[[[[]]]]}`, "{\"title\":\"\xff\"}",
		`{"type":"urn:failure:a:1001","status":404,"detail":"d","instance":"/i","set":"a","code":1001,"class":"caller","retryable":true,"id":"X","args":{"k":"v"}}`,
		`{"class":"class(9)","args":{"k":null}}`, `{"title":"x","title":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		p, err := failure.ParseProblem(bytes.NewReader(document))
		if err != nil {
			if p != nil {
				t.Fatal("both a problem and an error")
			}
			return
		}
		if p.Type == "" || p.Code < 0 || p.Status != 0 && (p.Status < 100 || p.Status > 599) || p.Class > failure.NotProblem {
			t.Fatalf("out of bounds: %+v", p)
		}
		if strings.ContainsAny(p.Error(), "\r\n\x1b") {
			t.Fatalf("the text is not one line: %q", p.Error())
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := failure.ParseProblem(bytes.NewReader(again))
		if len(again) <= 64<<10 && (err != nil || !reflect.DeepEqual(back, p)) {
			t.Fatalf("%+v was written as %s and read as %+v, %v", p, again, back, err)
		}
	})
}
