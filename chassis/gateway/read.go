package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// call is a method's request as it may be sent.
type call struct {
	message protoreflect.MessageDescriptor
	path    []wildcard
}

// wildcard is a part of the path that fills a field.
type wildcard struct {
	name    string // as the pattern spells it
	several bool   // it stands for any number of segments
	field   protoreflect.FieldDescriptor
}

// serve checks what can be checked before the body is read, and has the gateway do the rest.
func (c *call) serve(mux *runtime.ServeMux, w http.ResponseWriter, r *http.Request) error {
	for _, w := range c.path {
		// The gateway splits the path after it is unescaped: /games/7%2Fresign, here a game of that
		// name, would lead it to the method at /games/{game_id}/resign.
		if !w.several && strings.Contains(r.PathValue(w.name), "/") {
			return unknownRoute(r)
		}
	}
	if err := c.checkQuery(r); err != nil {
		return err
	}
	if err := checkMedia(r); err != nil {
		return err
	}
	b := &body{ReadCloser: r.Body, call: c, request: r}
	r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, b))
	r.Body = b
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet // the gateway knows no HEAD; the server sends no body
	}
	mux.ServeHTTP(w, r)
	return nil
}

// field is the field of m called name, in the contract's or in JSON's spelling.
func field(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if f := m.Fields().ByName(protoreflect.Name(name)); f != nil {
		return f
	}
	return m.Fields().ByJSONName(name)
}

// takes reports whether name is a query parameter: a field, or a field of a field and so on, whose
// outermost is not in the path.
func (c *call) takes(name string) bool {
	outer, inner, nested := strings.Cut(name, ".")
	f := field(c.message, outer)
	if f == nil || slices.ContainsFunc(c.path, func(w wildcard) bool { return w.field.Number() == f.Number() }) {
		return false
	}
	for nested {
		if f.Message() == nil || f.Cardinality() == protoreflect.Repeated {
			return false
		}
		outer, inner, nested = strings.Cut(inner, ".")
		if f = field(f.Message(), outer); f == nil {
			return false
		}
	}
	return true
}

// checkQuery refuses parameters that the method does not take: only fields of its message that
// are neither in the path nor in a body.
func (c *call) checkQuery(r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return failure.Malformed.With("reason", failure.Safe(err)).Wrap(err)
	}
	bodiless := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete
	for name := range query {
		if !bodiless || !c.takes(name) {
			return failure.Malformed.With("parameter", failure.Safe(name)).With("reason", failure.Safe("there is no such query parameter"))
		}
	}
	return nil
}

// checkMedia refuses bodies that are not plain JSON.
func checkMedia(r *http.Request) error {
	if r.ContentLength == 0 { // -1 when unknown
		return nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || kind != "application/json" || charset != "" && charset != "utf-8" {
		return failure.UnsupportedMediaType.With("content_type", failure.Safe(r.Header.Get("Content-Type"))).With("want", failure.Safe("application/json"))
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return failure.UnsupportedMediaType.With("content_encoding", failure.Safe(encoding)).With("want", failure.Safe("identity"))
	}
	return nil
}

// body is a request's body on its way through the gateway.
type body struct {
	io.ReadCloser
	call    *call
	request *http.Request // knows what the path says
	err     error         // what reading it found
}

type bodyKey struct{}

// codec reads and writes JSON.
type codec struct{ runtime.JSONPb }

func newCodec() *codec {
	// A zero is said rather than left out: a column 0 is a column.
	return &codec{runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true}}}
}

// NewDecoder implements runtime.Marshaler. The gateway's own decoder takes the first of several
// documents and forgets what kind of error the reader had.
func (c *codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		if b, ok := r.(*body); ok {
			b.err = b.decode(c, v)
			return b.err
		}
		// For PATCH with a field mask the gateway reads the body itself, and decodes copies.
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return c.parse(data, v)
	})
}

// parse reads the document in data, if there is one, into v: a message, or a pointer to a field when
// that is what the body fills.
func (c *codec) parse(data []byte, v any) error {
	if len(data) == 0 {
		return nil
	}
	if m, ok := v.(proto.Message); ok {
		return protojson.Unmarshal(data, m)
	}
	switch {
	case !utf8.Valid(data):
		return errors.New("invalid UTF-8")
	case !json.Valid(data):
		return errors.New("want one JSON document")
	}
	return c.Unmarshal(data, v)
}

// decode reads the body into v.
func (b *body) decode(c *codec, v any) error {
	data, err := io.ReadAll(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure.TooSlow.Wrap(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failure.CallerLeft.Wrap(err)
	case err != nil:
		return err
	}
	if err := c.parse(data, v); err != nil {
		return failure.Malformed.With("reason", failure.Safe(plain(err))).Wrap(err)
	}
	if m, ok := v.(proto.Message); ok {
		return b.agree(m.ProtoReflect())
	}
	return nil
}

// agree refuses a message that says something else than the path. What the path says is read as
// its field is, so that 7 is 007 and an enum's name is its number; what cannot be read so, the
// gateway refuses itself.
func (b *body) agree(m protoreflect.Message) error {
	if m.Descriptor() != b.call.message {
		return nil // the body is one field of the message, and those of the path are others
	}
	for _, w := range b.call.path {
		if !m.Has(w.field) {
			continue
		}
		said := m.New()
		err := runtime.PopulateFieldFromPath(said.Interface(), string(w.field.Name()), b.request.PathValue(w.name))
		if err == nil && !said.Get(w.field).Equal(m.Get(w.field)) {
			return failure.Malformed.With("field", failure.Safe(w.name)).With("reason", failure.Safe("the body contradicts the path"))
		}
	}
	return nil
}

// plain is the text of an error of package protojson, which varies its spaces on purpose.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(text, "proto: ")
}
