package control

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Endpoint is one thing that a control plane does with an F.
type Endpoint[F any] struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   string `json:"body,omitempty" doc:"an example"`
	Doc    string `json:"doc"`

	In, Out any                            `json:"-"` // values of the types of the body, nil for none, and of the answer
	Lax     bool                           `json:"-"` // there need not be a body
	Do      func(F, *Request) (any, error) `json:"-"`
}

// Request is one request to a control plane.
type Request struct {
	Context context.Context
	*http.Request
	Body []byte
}

// Refusal is an error with its HTTP status; other errors are the caller's, 400.
type Refusal struct {
	Status int
	error
}

// Refuse makes a Refusal of an error.
func Refuse(status int, err error) error { return &Refusal{status, err} }

// Unwrap is for package errors.
func (r *Refusal) Unwrap() error { return r.error }

// Handler answers endpoints for the F that find finds of a request. Bodies have max bytes at most. What comes from elsewhere than this
// machine is refused, and so is what a web page asks for, by its Origin, or by a Host that a foreign name
// server has pointed here (DNS rebinding). Errors are problem documents (RFC 9457).
func Handler[F any](find func(*http.Request) (F, error), endpoints []Endpoint[F], max int64) http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.HandleFunc(e.Method+" "+e.Path, func(w http.ResponseWriter, r *http.Request) {
			answer, err := e.serve(find, w, r, max)
			if err != nil {
				refuse(w, r, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			if r.URL.Path == "/" { // what people read to learn the others
				enc.SetIndent("", "  ")
			}
			_ = enc.Encode(answer) // a caller that left needs no answer
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		err := guard(r)
		if err == nil {
			err = &Refusal{http.StatusNotFound, fmt.Errorf("there is no %s %s here: GET / lists what there is", r.Method, r.URL.Path)}
		}
		refuse(w, r, err)
	})
	return mux
}

// Shown are endpoints with their paths as callers write them.
func Shown[F any](endpoints []Endpoint[F]) []Endpoint[F] {
	for i := range endpoints {
		endpoints[i].Path = strings.TrimSuffix(endpoints[i].Path, "{$}")
	}
	return endpoints
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadRequest
	if refused, ok := errors.AsType[*Refusal](err); ok {
		status = refused.Status
	}
	failure.WriteProblem(w, r, failure.Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()})
}

// guard refuses who must not govern a fake.
func guard(r *http.Request) error {
	switch {
	case r.Header.Get("Origin") != "":
		return &Refusal{http.StatusForbidden, errors.New("the control plane is not for web pages")}
	case !isLoopback(hostOf(r.Host)):
		return &Refusal{http.StatusForbidden, fmt.Errorf("the control plane is called localhost, or by a loopback address, and not %q", r.Host)}
	case !isLoopback(hostOf(r.RemoteAddr)):
		return &Refusal{http.StatusForbidden, errors.New("the control plane is for this machine alone")}
	}
	return nil
}

// hostOf is an address without its port, if it has one.
func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return strings.Trim(addr, "[]")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

func (e Endpoint[F]) serve(find func(*http.Request) (F, error), w http.ResponseWriter, r *http.Request, max int64) (any, error) {
	if err := guard(r); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &Refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", max)}
	}
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if e.In == nil && len(body) > 0 {
		return nil, fmt.Errorf("%s %s takes no body", e.Method, r.URL.Path)
	}
	f, err := find(r)
	if err != nil {
		return nil, err
	}
	return e.Do(f, &Request{r.Context(), r, body})
}

// Decode reads a body that is one JSON document of the type of into, and nothing else.
func (r *Request) Decode(into any) error {
	dec := json.NewDecoder(strings.NewReader(string(r.Body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("the body is not as wanted: %w", inJSON(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body goes on after its JSON document, at byte %d", dec.InputOffset())
	}
	return nil
}

// inJSON says what is wrong with a document in words of JSON, as those who call from other languages than
// Go know them.
func inJSON(err error) error {
	wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends in the middle of its JSON document")
	case !isType:
		return errors.New(strings.TrimPrefix(err.Error(), "json: ")) // an unknown field, or no JSON
	}
	where := "the document"
	if wrong.Field != "" {
		where = strconv.Quote(wrong.Field)
	}
	return fmt.Errorf("%s: want %s, got %s", where, kindInJSON(wrong.Type), wrong.Value)
}

// kindInJSON is what a value of the type is in a JSON document.
func kindInJSON(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// DecodeSome is Decode for a body that may be left out.
func (r *Request) DecodeSome(into any) error {
	if len(r.Body) == 0 {
		return nil
	}
	return r.Decode(into)
}

// Duration is a time.Duration as text, such as "150ms".
type Duration time.Duration

// MarshalText never fails.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText takes what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a duration such as \"150ms\" or \"2s\", got %.40q", text)
	}
	*d = Duration(parsed)
	return nil
}
