package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/gateway"
)

var codesOfShop = failure.NewSet("shop")
var errSoldOut = codesOfShop.Caller(1007, "sold out", failure.HTTPStatus(http.StatusConflict))

// methods take an ErrorInfo, the nearest message at hand that has two text fields and a map.
var methods = []gateway.Method{
	{Pattern: "GET /v1/info", Request: (*errdetails.ErrorInfo)(nil)},
	{Pattern: "GET /v1/info/{domain}", Request: (*errdetails.ErrorInfo)(nil)},
	{Pattern: "POST /v1/info/{domain}", Request: (*errdetails.ErrorInfo)(nil)},
}

// register does what generated handlers do: decode, fill in the path and the query, call,
// encode.
func register(call func(*errdetails.ErrorInfo) error) func(*runtime.ServeMux) error {
	return func(mux *runtime.ServeMux) error {
		handle := func(w http.ResponseWriter, r *http.Request, path map[string]string) {
			in, out := runtime.MarshalerForRequest(mux, r)
			ctx, err := runtime.AnnotateIncomingContext(r.Context(), mux, r, "/shop.Info/Say")
			var m errdetails.ErrorInfo
			if err == nil && r.Method == http.MethodPost {
				if derr := in.NewDecoder(r.Body).Decode(&m); derr != nil && derr != io.EOF {
					err = status.Errorf(codes.InvalidArgument, "%v", derr)
				}
			}
			if err == nil && r.Method == http.MethodGet {
				if err = runtime.PopulateQueryParameters(&m, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
					err = status.Errorf(codes.InvalidArgument, "%v", err)
				}
			}
			if domain, ok := path["domain"]; ok {
				m.Domain = domain
			}
			if err == nil {
				err = call(&m)
			}
			if err != nil {
				runtime.HTTPError(ctx, mux, out, w, r, err)
				return
			}
			runtime.ForwardResponseMessage(ctx, mux, out, w, r, &m)
		}
		return errors.Join(
			mux.HandlePath("GET", "/v1/info", handle),
			mux.HandlePath("GET", "/v1/info/{domain}", handle),
			mux.HandlePath("POST", "/v1/info/{domain}", handle),
		)
	}
}

func router(t *testing.T, call func(*errdetails.ErrorInfo) error) *chassis.Router {
	t.Helper()
	r := chassis.NewRouter()
	if err := gateway.Mount(r, methods, register(call)); err != nil {
		t.Fatal(err)
	}
	return r
}

func ask(h http.Handler, method, target, contentType string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMethodsAreServedAsJSON(t *testing.T) {
	r := router(t, func(m *errdetails.ErrorInfo) error {
		if m.Reason == "sold out" {
			return errSoldOut.With("domain", failure.Safe(m.Domain))
		}
		return nil
	})
	for _, c := range []struct {
		name, method, target, media, body string
		status                            int
		want                              string
	}{
		{"a body", "POST", "/v1/info/a", "application/json", `{"reason":"x"}`, 200, `{"reason":"x","domain":"a","metadata":{}}`},
		{"a body that repeats the path", "POST", "/v1/info/a", "application/json; charset=UTF-8", `{"domain":"a"}`, 200, `{"reason":"","domain":"a","metadata":{}}`},
		{"no body", "POST", "/v1/info/a", "", "", 200, `"domain":"a"`},
		{"an empty body of a type", "POST", "/v1/info/a", "application/json", "", 200, `"domain":"a"`},
		{"the query", "GET", "/v1/info?reason=x&domain=b", "", "", 200, `{"reason":"x","domain":"b","metadata":{}}`},
		{"a field of a field", "GET", "/v1/info?metadata[k]=v", "", "", 400, `there is no such query parameter`},
		{"HEAD", "HEAD", "/v1/info", "", "", 200, ``},
		{"the service's failure", "POST", "/v1/info/a", "application/json", `{"reason":"sold out"}`, 409, `"code":1007`},
		{"the path contradicted", "POST", "/v1/info/a", "application/json", `{"domain":"b"}`, 400, `the body contradicts the path`},
		{"an unknown field", "POST", "/v1/info/a", "application/json", `{"raison":"x"}`, 400, `unknown field \"raison\"`},
		{"no JSON", "POST", "/v1/info/a", "application/json", `{`, 400, `"code":400`},
		{"two documents", "POST", "/v1/info/a", "application/json", `{} {}`, 400, `"code":400`},
		{"a wrong type", "POST", "/v1/info/a", "application/json", `{"reason":1}`, 400, `(line 1:11): invalid value for string`},
		{"a form", "POST", "/v1/info/a", "application/x-www-form-urlencoded", `a=b`, 415, `want=application/json`},
		{"no media type", "POST", "/v1/info/a", "", `{}`, 415, `"code":415`},
		{"Latin-1", "POST", "/v1/info/a", "application/json; charset=latin1", `{}`, 415, `"code":415`},
		{"an unknown parameter", "GET", "/v1/info?raison=x", "", "", 400, `parameter=raison`},
		{"a parameter of the path", "GET", "/v1/info/a?domain=b", "", "", 400, `parameter=domain`},
		{"a parameter beside a body", "POST", "/v1/info/a?reason=x", "application/json", `{}`, 400, `parameter=reason`},
		{"a broken query", "GET", "/v1/info?a=%zz", "", "", 400, `invalid URL escape`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(r, c.method, c.target, c.media, strings.NewReader(c.body))
			// protojson varies its spaces on purpose.
			got := strings.ReplaceAll(w.Body.String(), `, "`, `,"`)
			if w.Code != c.status || !strings.Contains(strings.ReplaceAll(got, `": `, `":`), c.want) {
				t.Errorf("%d %s, want %d with %s", w.Code, w.Body, c.status, c.want)
			}
			wantType := "application/json"
			if c.status != 200 {
				wantType = failure.ContentType
			}
			if got := w.Header().Get("Content-Type"); got != wantType {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestCompressedBodiesAreRefused(t *testing.T) {
	req := httptest.NewRequest("POST", "/v1/info/a", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	router(t, func(*errdetails.ErrorInfo) error { return nil }).ServeHTTP(w, req)
	if w.Code != 415 || !strings.Contains(w.Body.String(), "content_encoding=gzip") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWhatReadingTheBodyFindsIsAnsweredAsWhatItIs(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"too large": {&http.MaxBytesError{Limit: 1}, 413},
		"too slow":  {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, 408},
		"cut off":   {io.ErrUnexpectedEOF, 499},
		"broken":    {errors.New("disk on fire"), 500},
	} {
		t.Run(name, func(t *testing.T) {
			body := io.MultiReader(strings.NewReader(`{"reason":`), failing{c.err})
			w := ask(router(t, func(*errdetails.ErrorInfo) error { return nil }), "POST", "/v1/info/a", "application/json", body)
			if w.Code != c.status || strings.Contains(w.Body.String(), "disk on fire") {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAMethodsOwnStatusAboutItsInputIsMalformedInput(t *testing.T) {
	r := router(t, func(*errdetails.ErrorInfo) error { return status.Error(codes.InvalidArgument, "bad reason") })
	if w := ask(r, "GET", "/v1/info", "", nil); w.Code != 400 || !strings.Contains(w.Body.String(), "bad reason") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestARouteThatTheGatewayDoesNotKnowIsNotFound(t *testing.T) {
	r := chassis.NewRouter()
	extra := gateway.Method{Pattern: "GET /v2/{$}", Request: (*errdetails.ErrorInfo)(nil)}
	if err := gateway.Mount(r, []gateway.Method{extra}, register(nil)); err != nil {
		t.Fatal(err)
	}
	if w := ask(r, "GET", "/v2/", "", nil); w.Code != 404 || !strings.Contains(w.Body.String(), `"code":404`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWrongMethodsAreErrors(t *testing.T) {
	boom := errors.New("boom")
	for want, c := range map[string]struct {
		m   gateway.Method
		reg func(*runtime.ServeMux) error
	}{
		`method "GET /x": Request is nil`: {gateway.Method{Pattern: "GET /x"}, register(nil)},
		`method "GET /{nmae}": google.rpc.ErrorInfo has no field "nmae"`: {
			gateway.Method{Pattern: "GET /{nmae}", Request: (*errdetails.ErrorInfo)(nil)}, register(nil)},
		"register the methods: boom": {gateway.Method{}, func(*runtime.ServeMux) error { return boom }},
	} {
		err := gateway.Mount(chassis.NewRouter(), []gateway.Method{c.m}, c.reg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMessagesThatAreNotTheBodyAreDecodedToo(t *testing.T) {
	r := chassis.NewRouter()
	var got map[string]int
	err := gateway.Mount(r, []gateway.Method{{Pattern: "GET /raw", Request: (*errdetails.ErrorInfo)(nil)}}, func(mux *runtime.ServeMux) error {
		return mux.HandlePath("GET", "/raw", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
			in, _ := runtime.MarshalerForRequest(mux, r)
			if err := in.NewDecoder(bytes.NewReader([]byte(`{"a":1}`))).Decode(&got); err != nil {
				t.Error(err)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	ask(r, "GET", "/raw", "", nil)
	if got["a"] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestFailuresAreCountedByTheService(t *testing.T) {
	spec := chassis.Spec[struct{ HTTP chassis.HTTPConfig }]{
		Name: "shop", Failures: codesOfShop,
		Setup: func(_ context.Context, s *chassis.Service, cfg struct{ HTTP chassis.HTTPConfig }) error {
			r := chassis.NewRouter()
			err := gateway.Mount(r, methods, register(func(*errdetails.ErrorInfo) error { return errSoldOut }))
			return errors.Join(err, s.HTTP("http", cfg.HTTP, r))
		},
	}
	i, err := chassis.Start(t.Context(), spec, func(s *chassis.Settings, _ *struct{ HTTP chassis.HTTPConfig }) { s.AccessLog.Path = "off" }, chassis.World{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := i.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	res, err := http.Get("http://" + i.Addr("http").String() + "/v1/info/a")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p, err := failure.ReadProblem(res)
	if err != nil || p.Code != 1007 || p.ID == "" {
		t.Errorf("%+v, %v", p, err)
	}
	metrics, err := http.Get("http://" + i.Addr("admin").String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	text, _ := io.ReadAll(metrics.Body)
	for _, want := range []string{`failure_total{class="caller",code="1007"} 1`, `requests_total{code="409",listener="http",method="GET",route="GET /v1/info/{domain}"} 1`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func ExampleMount() {
	r := chassis.NewRouter()
	err := gateway.Mount(r, []gateway.Method{
		{Pattern: "POST /v1/info/{domain}", Request: (*errdetails.ErrorInfo)(nil)},
	}, register(func(m *errdetails.ErrorInfo) error {
		m.Metadata = map[string]string{"seen": "yes"}
		return nil
	}))
	if err != nil {
		panic(err)
	}
	w := ask(r, "POST", "/v1/info/parcels", "application/json", strings.NewReader(`{"reason":"LOST"}`))
	var m errdetails.ErrorInfo
	if err := (&runtime.JSONPb{}).Unmarshal(w.Body.Bytes(), &m); err != nil {
		panic(err)
	}
	fmt.Println(w.Code, m.Reason, m.Domain, m.Metadata["seen"])
	// Output: 200 LOST parcels yes
}
