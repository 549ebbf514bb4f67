package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/typepb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/gateway"
)

// echo is a router with one method, which answers with what it was asked. Its path has the wildcards
// of pattern, and of is the message or the field of it that the body fills.
func echo(t *testing.T, method, path, wildcards string, in proto.Message, of func(proto.Message) proto.Message) http.Handler {
	t.Helper()
	r := chassis.NewRouter()
	err := gateway.Mount(r, []gateway.Method{{Pattern: method + " " + path, Request: in}}, func(mux *runtime.ServeMux) error {
		return mux.HandlePath(method, wildcards, func(w http.ResponseWriter, r *http.Request, path map[string]string) {
			m := proto.Clone(in)
			marshaler, _ := runtime.MarshalerForRequest(mux, r)
			err := marshaler.NewDecoder(r.Body).Decode(of(m))
			for name, value := range path {
				err = errors.Join(err, runtime.PopulateFieldFromPath(m, name, value))
			}
			err = errors.Join(err, runtime.PopulateQueryParameters(m, r.URL.Query(), utilities.NewDoubleArray(nil)))
			if err != nil {
				runtime.HTTPError(r.Context(), mux, marshaler, w, r, status.Error(codes.InvalidArgument, err.Error()))
				return
			}
			runtime.ForwardResponseMessage(r.Context(), mux, marshaler, w, r, m)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func whole(m proto.Message) proto.Message { return m }

// quiet is an answer without the spaces that protojson varies on purpose.
func quiet(w *httptest.ResponseRecorder) string {
	return strings.ReplaceAll(strings.ReplaceAll(w.Body.String(), `, "`, `,"`), `": `, `":`)
}

func TestAPathAndABodyThatSayTheSameAgree(t *testing.T) {
	for _, c := range []struct {
		name, path, field, value, body string
		status                         int
	}{
		{"text", "name", "name", "a", `{"name":"a"}`, 200},
		{"text, escaped", "name", "name", "a%20%25c", `{"name":"a %c"}`, 200},
		{"other text", "name", "name", "a%20b", `{"name":"a%20b"}`, 400},
		{"several segments", "name...", "name=**", "a/b%2Fc", `{"name":"a/b/c"}`, 200},
		{"other segments", "name...", "name=**", "a/b", `{"name":"a/c"}`, 400},
		{"a number", "number", "number", "7", `{"number":7}`, 200},
		{"a number as text", "number", "number", "7", `{"number":"7"}`, 200},
		{"a number with zeros", "number", "number", "007", `{"number":7}`, 200},
		{"another number", "number", "number", "7", `{"number":8}`, 400},
		{"no number", "number", "number", "seven", `{"number":8}`, 400},
		{"a zero, which is not there", "number", "number", "7", `{"number":0}`, 200},
		{"an enum by name", "kind", "kind", "TYPE_BOOL", `{"kind":"TYPE_BOOL"}`, 200},
		{"an enum by number", "kind", "kind", "8", `{"kind":"TYPE_BOOL"}`, 200},
		{"another enum", "kind", "kind", "TYPE_BOOL", `{"kind":"TYPE_BYTES"}`, 400},
		{"a truth", "packed", "packed", "1", `{"packed":true}`, 200},
		{"JSON's spelling", "jsonName", "json_name", "a", `{"jsonName":"a"}`, 200},
		{"JSON's spelling, contradicted", "jsonName", "json_name", "a", `{"jsonName":"b"}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := echo(t, "POST", "/f/{"+c.path+"}", "/f/{"+c.field+"}", &typepb.Field{}, whole)
			w := ask(h, "POST", "/f/"+c.value, "application/json", strings.NewReader(c.body))
			if w.Code != c.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
}

// With body: "option" in the mapping, what arrives is an Option, whose name is not that of the Type
// in the path.
func TestABodyThatIsOneFieldDoesNotContradictThePath(t *testing.T) {
	var option typepb.Option
	h := echo(t, "POST", "/t/{name}", "/t/{name}", &typepb.Type{}, func(proto.Message) proto.Message { return &option })
	w := ask(h, "POST", "/t/a", "application/json", strings.NewReader(`{"name":"b"}`))
	if w.Code != 200 || !strings.Contains(quiet(w), `"name":"a"`) || option.Name != "b" {
		t.Errorf("%d %s, read %v", w.Code, w.Body, &option)
	}
}

// Generated handlers decode a field into a pointer to it, and for PATCH with a field mask they read
// the body first and decode a copy.
func TestABodyThatIsOneFieldIsReadAsStrictlyAsOneThatIsAll(t *testing.T) {
	type field struct {
		name string
		into func() any
	}
	option := field{"message", func() any { return new(*typepb.Option) }}
	text := field{"text", func() any { return new(string) }}
	for _, c := range []struct {
		field
		body string
		err  error
		want int
		told string
	}{
		{option, `{"name":"a"}`, nil, 200, ""},
		{option, ``, nil, 200, ""},
		{option, `{"name":"a"} {"name":"b"}`, nil, 400, "want one JSON document"},
		{option, `{"name":"a"`, nil, 400, "want one JSON document"},
		{option, `{"nmae":"a"}`, nil, 400, `unknown field`},
		{option, `{"name":`, &http.MaxBytesError{Limit: 1}, 413, ""},
		{text, `"a"`, nil, 200, ""},
		{text, `"a" "b"`, nil, 400, "want one JSON document"},
		{text, "\"\xff\"", nil, 400, "invalid UTF-8"},
		{text, `1`, nil, 400, "cannot unmarshal number"},
		{text, `"a`, os.ErrDeadlineExceeded, 408, ""},
	} {
		for _, copied := range []bool{false, true} {
			r := chassis.NewRouter()
			err := gateway.Mount(r, []gateway.Method{{Pattern: "POST /f", Request: &typepb.Type{}}}, func(mux *runtime.ServeMux) error {
				return mux.HandlePath("POST", "/f", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
					ctx, err := runtime.AnnotateIncomingContext(r.Context(), mux, r, "/t.T/M")
					if err != nil {
						t.Error(err)
					}
					in, _ := runtime.MarshalerForRequest(mux, r)
					body := io.Reader(r.Body)
					if copied {
						body = io.MultiReader(r.Body)
					}
					if err := in.NewDecoder(body).Decode(c.into()); err != nil {
						runtime.HTTPError(ctx, mux, in, w, r, status.Error(codes.InvalidArgument, err.Error()))
					}
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			body := io.Reader(strings.NewReader(c.body))
			if c.err != nil {
				body = io.MultiReader(body, failing{c.err})
			}
			w := ask(r, "POST", "/f", "application/json", body)
			if copied && c.err != nil {
				c.want = 400 // of a copy, the chassis knows why it could not be read, but not the gateway
			}
			if w.Code != c.want || !strings.Contains(w.Body.String(), c.told) {
				t.Errorf("%s %q, copied %v: %d %s, want %d with %s", c.name, c.body, copied, w.Code, w.Body, c.want, c.told)
			}
		}
	}
}

func TestAnEscapedPathIsUnescapedOnce(t *testing.T) {
	h := echo(t, "GET", "/i/{domain}", "/i/{domain}", &errdetails.ErrorInfo{}, whole)
	for _, domain := range []string{"a", "a%41", "a%2Fb", "50%", "a b", "ä", "a:b", "+"} {
		w := ask(h, "GET", "/i/"+url.PathEscape(domain), "", nil)
		if want := fmt.Sprintf(`"domain":%q`, domain); w.Code != 200 || !strings.Contains(quiet(w), want) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
}

func TestAnEscapedSlashLeadsToNoOtherMethod(t *testing.T) {
	r := chassis.NewRouter()
	methods := []gateway.Method{{Pattern: "GET /i/{domain}", Request: (*errdetails.ErrorInfo)(nil)}, {Pattern: "GET /i/{domain}/secret", Request: (*errdetails.ErrorInfo)(nil)}}
	err := gateway.Mount(r, methods, func(mux *runtime.ServeMux) error {
		say := func(what string) runtime.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request, path map[string]string) {
				fmt.Fprintf(w, "%s of %s", what, path["domain"])
			}
		}
		return errors.Join(mux.HandlePath("GET", "/i/{domain}", say("all")), mux.HandlePath("GET", "/i/{domain}/secret", say("secret")))
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/i/a": "all of a", "/i/a/secret": "secret of a", "/i/a%2Fsecret": `"code":404`} {
		if w := ask(r, "GET", path, "", nil); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s, want %s", path, w.Body, want)
		}
	}
}

func TestParametersOfNestedFieldsAreKnownOrRefused(t *testing.T) {
	h := echo(t, "GET", "/t/{edition}", "/t/{edition}", &typepb.Type{}, whole)
	for query, want := range map[string]int{
		"source_context.file_name=x":        200,
		"sourceContext.fileName=x":          200,
		"name=x&source_context.file_name=x": 200,
		"source_context.file=x":             400,
		"source_context.file_name.x=x":      400,
		"name.x=x":                          400,
		"fields.name=x":                     400,
		"source_context.=x":                 400,
		"edition=x":                         400,
		"edition.x=x":                       400,
		"=x":                                400,
	} {
		w := ask(h, "GET", "/t/a?"+query, "", nil)
		if w.Code != want || want == 400 && !strings.Contains(w.Body.String(), "no such query parameter") {
			t.Errorf("%s: %d %s, want %d", query, w.Code, w.Body, want)
		}
	}
}

// own is a status with an error behind it, as grpcclient has them.
type own struct {
	error
	cause error
}

func (o own) GRPCStatus() *status.Status { return status.Convert(o.error) }
func (o own) Unwrap() error              { return o.cause }

func TestAPlainStatusIsAnsweredByWhoseFaultItIs(t *testing.T) {
	const text = "what went wrong"
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   int
		told   bool // whether the caller sees the text
	}{
		{"bad input", status.Error(codes.InvalidArgument, text), 400, 400, true},
		{"nothing there", status.Error(codes.NotFound, text), 404, 400, true},
		{"there already", status.Error(codes.AlreadyExists, text), 409, 400, true},
		{"wrapped", fmt.Errorf("secret: %w", status.Error(codes.NotFound, text)), 404, 400, true},
		{"who are you", status.Error(codes.Unauthenticated, text), 401, 401, false},
		{"not you", status.Error(codes.PermissionDenied, text), 403, 403, false},
		{"no such method", status.Error(codes.Unimplemented, text), 404, 404, false},
		{"too late", status.Error(codes.DeadlineExceeded, text), 504, 504, false},
		{"left", status.Error(codes.Canceled, text), 499, 499, false},
		{"the deadline of a call", own{status.Error(codes.DeadlineExceeded, text), context.DeadlineExceeded}, 504, 504, false},
		{"another service away", status.Error(codes.Unavailable, text), 500, 1, false},
		{"broken", status.Error(codes.Internal, text), 500, 1, false},
		{"a code, and a status behind it", errSoldOut.Wrap(status.Error(codes.NotFound, text)), 409, 1007, false},
		{"a code that has a status", own{status.Error(codes.NotFound, text), errSoldOut}, 409, 1007, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(router(t, func(*errdetails.ErrorInfo) error { return c.err }), "GET", "/v1/info", "", nil)
			p, err := failure.ParseProblem(strings.NewReader(w.Body.String()))
			if err != nil || w.Code != c.status || p.Code != c.code || strings.Contains(w.Body.String(), text) != c.told || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%d %s, %v, want %d and code %d", w.Code, w.Body, err, c.status, c.code)
			}
		})
	}
}

func TestACancelledCallIsTheCallersDoingOnlyIfTheCallerLeft(t *testing.T) {
	type config struct{ HTTP chassis.HTTPConfig }
	spec := chassis.Spec[config]{
		Name: "shop", Failures: codesOfShop,
		Setup: func(_ context.Context, s *chassis.Service, cfg config) error {
			r := chassis.NewRouter()
			err := gateway.Mount(r, methods, register(func(*errdetails.ErrorInfo) error { return status.Error(codes.Canceled, "closing") }))
			return errors.Join(err, s.HTTP("http", cfg.HTTP, r))
		},
	}
	i, err := chassis.Start(t.Context(), spec, func(s *chassis.Settings, _ *config) { s.AccessLog.Path = "off" }, chassis.World{Stderr: io.Discard})
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
	if p, err := failure.ReadProblem(res); err != nil || p.Status != 500 || p.Code != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}
