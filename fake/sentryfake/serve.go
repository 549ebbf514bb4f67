package sentryfake

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// refusal is an answer to a client that made a mistake.
type refusal struct {
	status int
	err    error
}

// errAborted says that the request did not come whole: mostly its client went away, which is no
// mistake of what it sends.
var errAborted = errors.New("the request did not come whole")

func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.closing {
		f.mu.Unlock()
		abandon(w) // not to answer at all would be to answer 200
		return
	}
	f.working.Add(1)
	f.mu.Unlock()
	defer f.working.Done()

	now := f.options.Clock.Now()
	if f.script.peek(now) == TLS {
		abandon(w) // a connection from before the fault
		return
	}
	fault := f.script.take(now, Down, Slow, Hang, Status, Truncate, Lose, Cut)
	if fault != nil {
		f.struck()
		switch fault.Kind {
		case Down:
			abandon(w)
			return
		case Truncate:
			_, _ = io.CopyN(io.Discard, r.Body, max(r.ContentLength/2, 1))
			abandon(w)
			return
		}
	}
	e, err := f.read(r)
	if errors.Is(err, errAborted) {
		abandon(w)
		return
	}
	slow := make(chan struct{})
	if fault != nil && fault.Kind == Slow {
		defer f.options.Clock.AfterFunc(fault.Delay, func() { close(slow) }).Stop()
	}
	f.count(func(s *Stats) { s.Requests++ }) // whoever awaits it may advance the clock now
	if wrong, ok := errors.AsType[*refusal](err); ok {
		f.problem(fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, wrong.err))
		answerError(w, wrong.status, wrong.err.Error())
		return
	}
	if !f.wait(r.Context(), fault, slow) {
		abandon(w)
		return
	}
	f.answer(w, now, fault, e)
}

// Error implements error.
func (r *refusal) Error() string { return r.err.Error() }

// abandon resets the request's connection.
func abandon(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack() // HTTP/1 alone is spoken here, and it has Hijack
	if err == nil {
		reset(c)
	}
}

// answer decides what becomes of a good envelope that came at now.
func (f *Fake) answer(w http.ResponseWriter, now time.Time, fault *step, e Envelope) {
	var wrong Fault
	if fault != nil {
		wrong = fault.Fault
	}
	body, status := f.take(w.Header(), now, wrong, e)
	switch wrong.Kind {
	case Lose:
		abandon(w)
	case Cut:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		abandon(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

// wait lets the time of a slow or hanging answer pass, and reports whether there is an answer.
func (f *Fake) wait(ctx context.Context, fault *step, slow <-chan struct{}) bool {
	if fault == nil || fault.Kind != Slow && fault.Kind != Hang {
		return true
	}
	select {
	case <-slow:
		return true
	case <-fault.gone:
		return fault.Kind == Slow
	case <-ctx.Done():
	case <-f.closed:
	}
	return false
}

// take records the envelope, if nothing speaks against it, and returns what is to be answered.
func (f *Fake) take(h http.Header, now time.Time, wrong Fault, e Envelope) ([]byte, int) {
	var categories []string
	for _, i := range e.Items {
		if c := i.Category(); c != "" {
			categories = append(categories, c)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.wake()
	if f.limits.early(now, categories) {
		f.stats.Early++
	}
	if wrong.Kind == Status {
		f.limits.announce(h, now, wrong)
		if wrong.Taken {
			f.record(now, e)
		}
		return errorBody("a fault answers " + strconv.Itoa(wrong.Status)), wrong.Status
	}
	if limits, wait := f.limits.take(now, categories); limits != "" {
		f.stats.RateLimited++
		h.Set("X-Sentry-Rate-Limits", limits)
		h.Set("Retry-After", strconv.FormatInt(seconds(wait), 10))
		return errorBody("Sentry dropped data due to a quota or internal rate limit being reached"), http.StatusTooManyRequests
	}
	f.record(now, e)
	body, _ := json.Marshal(struct { // a string always marshals
		ID string `json:"id,omitempty"`
	}{e.Header.EventID})
	return body, http.StatusOK
}

// record keeps what was accepted. An event whose id is known is dropped, as Sentry does: its ingest
// consumer knows ids for an hour, its store for good.
func (f *Fake) record(now time.Time, e Envelope) {
	for _, i := range e.Items {
		if i.Type != "event" {
			if len(f.items) >= f.options.Keep {
				f.note(fmt.Errorf("more than %d items: raise Options.Keep", f.options.Keep))
				continue
			}
			f.items = append(f.items, i)
			f.stats.Items++
			continue
		}
		id := e.Header.EventID // it counts when the payload has another
		if known := f.byID[id]; known != nil {
			known.Sent++
			f.stats.Duplicates++
			continue
		}
		if len(f.events) >= f.options.Keep {
			f.note(fmt.Errorf("more than %d events: raise Options.Keep", f.options.Keep))
			continue
		}
		fields, _ := object(i.Payload) // Parse has read both before
		event, _ := parseEvent(fields)
		event.ID, event.Received, event.Sent, event.JSON = id, now, 1, i.Payload
		f.byID[id] = event
		f.events = append(f.events, event)
		f.stats.Events++
	}
}

// contentTypes are those that the endpoint takes.
var contentTypes = []string{"application/x-sentry-envelope", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded"}

// read takes a request in. The error is errAborted or a refusal.
func (f *Fake) read(r *http.Request) (Envelope, error) {
	body, err := f.body(r)
	if err != nil {
		return Envelope{}, err
	}
	refuse := func(status int, err error) (Envelope, error) { return Envelope{}, &refusal{status, err} }
	switch path := "/api/" + f.options.Project + "/envelope/"; {
	case strings.HasSuffix(r.URL.Path, "/store/"):
		return refuse(http.StatusNotFound, fmt.Errorf("the store endpoint is out of use; want %s", path))
	case r.URL.Path != path:
		return refuse(http.StatusNotFound, fmt.Errorf("want %s", path))
	case r.Method != http.MethodPost:
		return refuse(http.StatusMethodNotAllowed, errors.New("want POST"))
	case len(body) == 0:
		return refuse(http.StatusBadRequest, errors.New("the body is empty"))
	}
	if ct := r.Header.Get("Content-Type"); ct != "" {
		media, _, err := mime.ParseMediaType(ct)
		if err != nil || !slices.Contains(contentTypes, media) {
			return refuse(http.StatusBadRequest, fmt.Errorf("content type %.60q: want %s", ct, contentTypes[0]))
		}
	}
	e, err := Parse(body)
	if errors.Is(err, ErrTooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, err)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, err)
	}
	if err := f.authenticate(r, e.Header.DSN); err != nil {
		return refuse(http.StatusForbidden, err)
	}
	return e, nil
}

// body reads the body and takes its compression off.
func (f *Fake) body(r *http.Request) ([]byte, error) {
	compressed, err := io.ReadAll(io.LimitReader(r.Body, int64(f.options.MaxEnvelope)+1))
	if err != nil {
		return nil, errAborted
	}
	var plain io.Reader = bytes.NewReader(compressed)
	encoding := r.Header.Get("Content-Encoding")
	switch encoding {
	case "", "identity":
	case "gzip":
		plain, err = gzip.NewReader(plain)
	case "deflate":
		plain, err = zlib.NewReader(plain)
	default:
		return nil, &refusal{http.StatusUnsupportedMediaType,
			fmt.Errorf("content encoding %.20q: the fake reads gzip and deflate", encoding)}
	}
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(plain, int64(f.options.MaxEnvelope)+1))
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, fmt.Errorf("content encoding %s: %w", encoding, err)}
	}
	if len(body) > f.options.MaxEnvelope {
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("the envelope has more than %d bytes", f.options.MaxEnvelope)}
	}
	return body, nil
}

// answerError answers as Relay does.
func answerError(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Sentry-Error", strings.NewReplacer("\n", " ", "\r", " ").Replace(detail))
	w.WriteHeader(status)
	_, _ = w.Write(errorBody(detail))
}

func errorBody(detail string) []byte {
	body, _ := json.Marshal(struct { // a string always marshals
		Detail string `json:"detail"`
	}{detail})
	return body
}
