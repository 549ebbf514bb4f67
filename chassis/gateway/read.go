package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// call is a method's request as it may be sent.
type call struct {
	fields protoreflect.FieldDescriptors
	path   []string // the fields that the path fills
}

// serve checks what can be checked before the body is read, and has the gateway do the rest.
func (c *call) serve(mux *runtime.ServeMux, w http.ResponseWriter, r *http.Request) error {
	if err := c.checkQuery(r); err != nil {
		return err
	}
	if err := checkMedia(r); err != nil {
		return err
	}
	b := &body{ReadCloser: r.Body, path: map[string]string{}}
	for _, name := range c.path {
		b.path[name] = r.PathValue(name)
	}
	r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, b))
	r.Body = b
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet // the gateway knows no HEAD; the server sends no body
	}
	mux.ServeHTTP(w, r)
	return nil
}

// field is the field called name, in the contract's or in JSON's spelling.
func (c *call) field(name string) protoreflect.FieldDescriptor {
	if f := c.fields.ByName(protoreflect.Name(name)); f != nil {
		return f
	}
	return c.fields.ByJSONName(name)
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
		top, _, _ := strings.Cut(name, ".") // a field of a field is fine if the outer one is
		f := c.field(top)
		if f == nil || !bodiless || slices.Contains(c.path, string(f.Name())) {
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
	path map[string]string // what the path says of fields
	err  error             // what reading it found
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
		b, ours := r.(*body)
		m, message := v.(proto.Message)
		if !ours || !message {
			return c.JSONPb.NewDecoder(r).Decode(v)
		}
		b.err = b.decode(m)
		return b.err
	})
}

// decode reads the document, if there is one, into m.
func (b *body) decode(m proto.Message) error {
	data, err := io.ReadAll(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure.TooSlow.Wrap(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failure.CallerLeft.Wrap(err)
	case err != nil:
		return err
	}
	if len(data) == 0 {
		return nil
	}
	if err := protojson.Unmarshal(data, m); err != nil {
		return failure.Malformed.With("reason", failure.Safe(plain(err))).Wrap(err)
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	for name, want := range b.path {
		f := fields.ByName(protoreflect.Name(name))
		if f == nil || !m.ProtoReflect().Has(f) {
			continue
		}
		if got := m.ProtoReflect().Get(f).String(); got != want {
			return failure.Malformed.With("field", failure.Safe(name)).With("reason", failure.Safe("the body contradicts the path"))
		}
	}
	return nil
}

// plain is the text of an error of package protojson, which varies its spaces on purpose.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimPrefix(text, "proto: ")
}
