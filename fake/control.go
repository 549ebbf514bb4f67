package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// maxControlBody bounds a request to the control plane.
const maxControlBody = 64 << 10

// Control answers the fake's control plane: JSON over HTTP, whose GET / lists what there is, and
// GET /openapi.json describes it for generators of clients (OpenAPI 3.1).
// It is for suites outside this process. Serve it on loopback only, since whoever reaches it
// governs the fake: requests from elsewhere are refused, and so are those that a web page makes,
// by their Origin, or by a Host that a foreign name server has pointed here (DNS rebinding).
// Errors are problem documents (RFC 9457). [Main] serves it on a listener of its own, which no
// fault touches.
func (f *Fake) Control() http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints() {
		mux.HandleFunc(e.Method+" "+e.Path, func(w http.ResponseWriter, r *http.Request) {
			answer, err := e.serve(f, w, r)
			if err != nil {
				refuseControl(w, r, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(answer) // a caller that left needs no answer
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		err := guard(r)
		if err == nil {
			err = &refusal{http.StatusNotFound, fmt.Errorf("there is no %s %s here: GET / lists what there is", r.Method, r.URL.Path)}
		}
		refuseControl(w, r, err)
	})
	return mux
}

// refusal is an error with its HTTP status; other errors are the caller's, 400.
type refusal struct {
	status int
	error
}

func refuseControl(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadRequest
	if refused, ok := errors.AsType[*refusal](err); ok {
		status = refused.status
	}
	failure.WriteProblem(w, r, failure.Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()})
}

// guard refuses who must not govern a fake.
func guard(r *http.Request) error {
	switch {
	case r.Header.Get("Origin") != "":
		return &refusal{http.StatusForbidden, errors.New("the control plane is not for web pages")}
	case !isLoopback(hostOf(r.Host)):
		return &refusal{http.StatusForbidden, fmt.Errorf("the control plane is called localhost, or by a loopback address, and not %q", r.Host)}
	case !isLoopback(hostOf(r.RemoteAddr)):
		return &refusal{http.StatusForbidden, errors.New("the control plane is for this machine alone")}
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

// asked is one request to the control plane.
type asked struct {
	ctx  context.Context
	path string
	id   string // in the path
	body []byte
}

func (e endpoint) serve(f *Fake, w http.ResponseWriter, r *http.Request) (any, error) {
	if err := guard(r); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", maxControlBody)}
	}
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if e.in == nil && len(body) > 0 {
		return nil, fmt.Errorf("%s %s takes no body", e.Method, r.URL.Path)
	}
	return e.do(f, &asked{r.Context(), r.URL.Path, r.PathValue("id"), body})
}

// decode reads one JSON object and nothing else.
func decode(body []byte, into any) error {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return fmt.Errorf("the body is not as wanted: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body goes on after its JSON object, at byte %d", dec.InputOffset())
	}
	return nil
}

// decodeSome is decode for a body that may be left out.
func decodeSome(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	return decode(body, into)
}
