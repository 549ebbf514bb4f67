package failure

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of a problem document over HTTP.
const ContentType = "application/problem+json"

// A Problem is a failure as clients see it, and as a JSON object a problem document of RFC 9457.
//
// It is made by [Error.Problem], written by [WriteProblem] and read by [ReadProblem] or
// [ParseProblem]. A *Problem is an error, so that a client may return what it was answered. The
// members after Instance are extensions of ours; RFC 9457 advises names of three letters or more,
// and "id" is shorter because it is what people say.
type Problem struct {
	// Type identifies the kind of problem: urn:failure:SET:NUMBER ([Code.TypeURI]), for a fixed
	// code means the same wherever it is served from. It is compared, never fetched: "failure"
	// is no registered URN namespace. Empty stands for about:blank, where the status says it all.
	Type string `json:"type,omitempty"`
	// Title is the code's message, the same at each occurrence.
	Title string `json:"title,omitempty"`
	// Status is the HTTP status.
	Status int `json:"status,omitempty"`
	// Detail is the message with the safe arguments of this occurrence.
	Detail string `json:"detail,omitempty"`
	// Instance is a URI reference for this occurrence. The chassis leaves it empty; ID serves.
	Instance string `json:"instance,omitempty"`

	// Set is the name of the set that Code is a number of.
	Set string `json:"set,omitempty"`
	// Code is the code's number; 0 in documents of other makers.
	Code int `json:"code,omitempty"`
	// Class is the code's class; the zero Class in documents of other makers.
	Class Class `json:"class,omitzero"`
	// Retryable reports whether the same request may be sent again as it is.
	Retryable bool `json:"retryable"`
	// ID is the error id, which finds the occurrence in the service's log; see [NewID].
	ID string `json:"id,omitempty"`
	// Args are the safe arguments; of a key given twice, the later value.
	Args map[string]string `json:"args,omitempty"`

	// RetryAfter is how long to wait before trying again; 0 says nothing. It travels in the
	// Retry-After header, in whole seconds.
	RetryAfter time.Duration `json:"-"`
}

// Problem is e as clients may see it, under an error id (see [NewID]; empty for none).
func (e *Error) Problem(id string) Problem {
	c := e.code
	p := Problem{
		Type: c.uri, Title: c.message, Status: e.HTTPStatus(), Detail: e.Detail(),
		Set: c.set, Code: c.number, Class: c.class, Retryable: e.Retryable(), ID: id,
		RetryAfter: e.RetryAfter(),
	}
	for _, a := range e.args {
		if !a.Safe {
			continue
		}
		if p.Args == nil {
			p.Args = map[string]string{}
		}
		p.Args[a.Key] = a.Value
	}
	return p
}

// Error is the problem on one line: status, code, detail, id.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString("problem")
	if p.Status != 0 {
		b.WriteString(" " + strconv.Itoa(p.Status))
	}
	if p.Code != 0 {
		b.WriteString(", " + strings.TrimSpace(p.Set+" "+strconv.Itoa(p.Code))) // the set may be missing
	}
	for _, text := range []string{p.Detail, p.Title, http.StatusText(p.Status)} {
		if text != "" {
			b.WriteString(": " + text)
			break
		}
	}
	if p.ID != "" {
		b.WriteString(" [" + p.ID + "]")
	}
	return printable(b.String())
}

// WriteProblem answers r with p: a problem document with its status, or for HEAD the same header
// without it. A status that is not from 400 to 599 becomes 500. Answers are marked as not to be
// stored or sniffed; what the handler had said of another body (Content-Disposition,
// Content-Encoding, Content-Language, Content-Location, Content-Range, Etag, Last-Modified) is
// removed, other header fields stay. Retry-After is written when p is retryable and says how long,
// rounded up to whole seconds.
//
// It must be called before anything else is written. A client that is gone already is no error.
// WWW-Authenticate, Allow and Connection, which RFC 9110 wants beside some statuses, are the host's.
func WriteProblem(w http.ResponseWriter, r *http.Request, p Problem) {
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	// A struct of text, numbers and booleans always marshals.
	body, _ := json.Marshal(p)
	body = append(body, '\n')
	h := w.Header()
	for _, name := range []string{
		"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location", "Content-Range",
		"Etag", "Last-Modified", "Retry-After",
	} {
		h.Del(name)
	}
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Retryable && p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(ceilSeconds(p.RetryAfter), 10))
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// ceilSeconds is d in seconds, rounded up; d is positive.
func ceilSeconds(d time.Duration) int64 { return int64((d-1)/time.Second) + 1 }
