package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Routes are where the methods of a service are found as JSON over HTTP, by method:
//
//	"/game.v1.GameService/DropDisc":  "POST /v1/games/{game_id}/drop",
//	"/game.v1.GameService/WatchGame": "GET /v1/games/{game_id}/events event",
//
// What stands in braces is a field of the request. The other fields are the body of a POST, PUT or
// PATCH and the query of all else. A third word says that the answer is Server-Sent Events, whose
// data is that field of the method's answers.
type Routes map[string]string

// What is read of one answer, and of one line of an event stream, in bytes.
const (
	maxAnswer = 16 << 20
	maxLine   = 256 << 10
)

// HTTP makes calls as JSON to a service at base, such as "http://127.0.0.1:8080"; nil is
// http.DefaultClient.
func HTTP(client *http.Client, base string, routes Routes) Caller {
	if client == nil {
		client = http.DefaultClient
	}
	return &overHTTP{routes: routes, send: func(ctx context.Context, verb, target string, body []byte) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, verb, base+target, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if len(body) > 0 {
			req.Header.Set("Content-Type", "application/json")
		}
		return client.Do(req)
	}}
}

type overHTTP struct {
	routes Routes
	// send sends a request to a path with its query. The caller closes the answer's body.
	send func(ctx context.Context, verb, target string, body []byte) (*http.Response, error)
}

// Open implements Caller.
func (c *overHTTP) Open(ctx context.Context, name string, request proto.Message) (Stream, error) {
	route, ok := c.routes[name]
	if !ok {
		return nil, fmt.Errorf("there is no route for method %s", name)
	}
	m, err := method(name)
	if err != nil {
		return nil, err
	}
	verb, rest, _ := strings.Cut(route, " ")
	pattern, field, streams := strings.Cut(rest, " ")
	target, body, err := compose(verb, pattern, request)
	if err != nil {
		return nil, fmt.Errorf("route %q: %w", route, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.send(ctx, verb, target, body)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &events{body: resp.Body, cancel: cancel, method: m, field: protoreflect.Name(field)}
	switch {
	case resp.StatusCode == http.StatusNoContent && streams:
		defer s.Close()
		return &one{}, nil // nothing is to come
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		defer s.Close()
		problem, err := failure.ReadProblem(resp)
		return nil, errors.Join(problem, err)
	case streams:
		s.lines = bufio.NewReaderSize(resp.Body, maxLine)
		return s, nil
	}
	defer s.Close()
	return s.single()
}

// compose makes the target and the body of a request.
func compose(verb, pattern string, request proto.Message) (target string, body []byte, err error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(request)
	if err != nil {
		return "", nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return "", nil, err
	}
	for {
		before, rest, found := strings.Cut(pattern, "{")
		target += before
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", nil, fmt.Errorf("%q is not closed", "{"+rest)
		}
		value := plain(fields[name])
		if value == "" {
			return "", nil, fmt.Errorf("the request has no %s, which the path needs", name)
		}
		target += url.PathEscape(value)
		delete(fields, name)
		pattern = after
	}
	switch verb {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		body, err = json.Marshal(fields)
		return target, body, err
	}
	query := url.Values{}
	for name, value := range fields {
		query.Set(name, plain(value))
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target, nil, nil
}

// plain is a JSON value as a path or a query has it.
func plain(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// events is an answer over HTTP: one document, or Server-Sent Events.
type events struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	lines  *bufio.Reader
	method protoreflect.MethodDescriptor
	field  protoreflect.Name // of the answer that the data is
}

// single reads an answer that is one document.
func (s *events) single() (Stream, error) {
	answer, err := answerOf(s.method)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(s.body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("more than %d bytes", maxAnswer)
	}
	if err == nil {
		err = protojson.Unmarshal(body, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("method %s: read the answer: %w", s.method.FullName(), err)
	}
	return &one{answer}, nil
}

// Next implements Stream. Comments are passed over, and so are events without an id, which say something
// of the stream itself.
func (s *events) Next() (proto.Message, error) {
	var id, data string
	for {
		line, err := s.lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(data) > maxAnswer {
			return nil, fmt.Errorf("method %s: an event has a line of more than %d bytes, or more than %d bytes of data", s.method.FullName(), maxLine, maxAnswer)
		}
		if err != nil {
			return nil, err // an event that is cut off does not count, as the standard says
		}
		text := strings.TrimRight(string(line), "\r\n")
		name, value, _ := strings.Cut(text, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			data += value
		case text == "" && id != "" && data != "":
			return s.event(data)
		case text == "":
			id, data = "", ""
		}
	}
}

// event is the answer whose field is data.
func (s *events) event(data string) (proto.Message, error) {
	answer, err := answerOf(s.method)
	if err != nil {
		return nil, err
	}
	field := answer.ProtoReflect().Descriptor().Fields().ByName(s.field)
	if field == nil || field.Message() == nil {
		return nil, fmt.Errorf("method %s: its answers have no message called %q", s.method.FullName(), s.field)
	}
	if err := protojson.Unmarshal([]byte(data), answer.ProtoReflect().Mutable(field).Message().Interface()); err != nil {
		return nil, fmt.Errorf("method %s: read an event: %w", s.method.FullName(), err)
	}
	return answer, nil
}

// Close implements Stream.
func (s *events) Close() error {
	s.cancel()
	return s.body.Close()
}
