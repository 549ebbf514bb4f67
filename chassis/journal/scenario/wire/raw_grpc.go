package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// RawGRPC makes gRPC calls to addr without a gRPC client and without generated messages. It asks the
// service for the contract by gRPC server reflection, which the service must have switched on, builds
// the bytes of messages by what it is told, and puts them into frames and these into HTTP/2 requests
// without TLS, as https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md has it. service is the
// full name of the service, such as "game.v1.GameService". ctx bounds the asking. Whoever got it calls
// Close.
func RawGRPC(ctx context.Context, addr, service string) (*Raw, error) {
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &h2c}
	r := &Raw{client: &http.Client{Transport: transport}, transport: transport, base: "http://" + addr}
	if err := r.ask(ctx, service); err != nil {
		r.Close()
		return nil, fmt.Errorf("ask %s for the contract of %s: %w", addr, service, err)
	}
	return r, nil
}

// Raw is a [Caller] that [RawGRPC] makes. It is safe for concurrent use.
type Raw struct {
	client    *http.Client
	transport *http.Transport
	base      string
	files     *protoregistry.Files // the contract as the service tells it
}

// Close closes its connections.
func (r *Raw) Close() { r.transport.CloseIdleConnections() }

// Open implements Caller.
func (r *Raw) Open(ctx context.Context, name string, request proto.Message) (Stream, error) {
	m, err := method(name)
	if err != nil {
		return nil, err
	}
	d, err := r.files.FindDescriptorByName(m.FullName())
	if err != nil {
		return nil, fmt.Errorf("the service tells of no method %s: %w", name, err)
	}
	told := d.(protoreflect.MethodDescriptor)
	// From here on only names and values count: what is linked and what the service tells meet in JSON.
	text, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	dynamic := dynamicpb.NewMessage(told.Input())
	if err := protojson.Unmarshal(text, dynamic); err != nil {
		return nil, fmt.Errorf("method %s: the service takes no such request: %w", name, err)
	}
	data, err := proto.Marshal(dynamic)
	if err != nil {
		return nil, err
	}
	frames, err := r.post(ctx, name, data)
	if err != nil {
		return nil, err
	}
	return &rawStream{frames: frames, output: told.Output(), method: m}, nil
}

// post sends one message to a method.
func (r *Raw) post(ctx context.Context, method string, message []byte) (*frames, error) {
	ctx, cancel := context.WithCancel(ctx)
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))) // 0: not compressed
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+method, bytes.NewReader(append(frame, message...)))
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := r.client.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	f := &frames{resp: resp, cancel: cancel}
	if resp.StatusCode != http.StatusOK {
		defer f.close()
		return nil, fmt.Errorf("%s: HTTP status %d; want 200", method, resp.StatusCode)
	}
	return f, nil
}

// frames is the answer to one request.
type frames struct {
	resp   *http.Response
	cancel context.CancelFunc
}

func (f *frames) close() {
	f.cancel()
	_ = f.resp.Body.Close()
}

// next is the next message, io.EOF after the last one of a call that succeeded, or why it failed.
func (f *frames) next() ([]byte, error) {
	var head [5]byte
	_, err := io.ReadFull(f.resp.Body, head[:])
	if errors.Is(err, io.EOF) {
		return nil, f.end()
	}
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || size > maxAnswer {
		return nil, fmt.Errorf("a frame begins with %x; want 0, not compressed, and at most %d bytes", head, maxAnswer)
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(f.resp.Body, message); err != nil {
		return nil, fmt.Errorf("read a frame of %d bytes: %w", size, err)
	}
	return message, nil
}

// end is what the trailer says of the whole call.
func (f *frames) end() error {
	trailer := f.resp.Trailer
	if trailer.Get("Grpc-Status") == "" {
		trailer = f.resp.Header // a call without an answer has its trailer there
	}
	number, err := strconv.ParseUint(trailer.Get("Grpc-Status"), 10, 32)
	if err != nil {
		return fmt.Errorf("grpc-status: want a number, got %q", trailer.Get("Grpc-Status"))
	}
	if number == 0 {
		return io.EOF
	}
	told := &spb.Status{}
	details := strings.TrimRight(trailer.Get("Grpc-Status-Details-Bin"), "=")
	if details == "" {
		words, err := url.PathUnescape(trailer.Get("Grpc-Message"))
		if err != nil {
			return fmt.Errorf("grpc-message: %w", err)
		}
		return status.Error(codes.Code(number), words)
	}
	data, err := base64.RawStdEncoding.DecodeString(details)
	if err == nil {
		err = proto.Unmarshal(data, told)
	}
	if err != nil {
		return fmt.Errorf("grpc-status-details-bin: %w", err)
	}
	if told.Code != int32(number) {
		return fmt.Errorf("grpc-status-details-bin says status %d and grpc-status %d", told.Code, number)
	}
	return status.ErrorProto(told)
}

// rawStream is the answers to one call.
type rawStream struct {
	frames *frames
	output protoreflect.MessageDescriptor
	method protoreflect.MethodDescriptor
}

// Next implements Stream.
func (s *rawStream) Next() (proto.Message, error) {
	data, err := s.frames.next()
	if err != nil {
		return nil, err
	}
	dynamic := dynamicpb.NewMessage(s.output)
	if err := proto.Unmarshal(data, dynamic); err != nil {
		return nil, fmt.Errorf("method %s: read an answer: %w", s.method.FullName(), err)
	}
	text, err := protojson.Marshal(dynamic)
	if err != nil {
		return nil, err
	}
	answer, err := answerOf(s.method)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(text, answer); err != nil {
		return nil, fmt.Errorf("method %s: read an answer: %w", s.method.FullName(), err)
	}
	return answer, nil
}

// Close implements Stream.
func (s *rawStream) Close() error {
	s.frames.close()
	return nil
}

// Numbers of the fields of grpc.reflection.v1 that are used:
// https://github.com/grpc/grpc/blob/master/src/proto/grpc/reflection/v1/reflection.proto
const (
	fileContainingSymbol   = 4 // of ServerReflectionRequest
	fileDescriptorResponse = 4 // of ServerReflectionResponse
	fileDescriptorProto    = 1 // of FileDescriptorResponse
)

// ask learns the files that describe a service.
func (r *Raw) ask(ctx context.Context, service string) error {
	request := protowire.AppendTag(nil, fileContainingSymbol, protowire.BytesType)
	request = protowire.AppendString(request, service)
	answers, err := r.post(ctx, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", request)
	if err != nil {
		return err
	}
	defer answers.close()
	answer, err := answers.next()
	if errors.Is(err, io.EOF) {
		err = errors.New("it answered nothing")
	}
	if err != nil {
		return err
	}
	set := &descriptorpb.FileDescriptorSet{}
	err = fields(answer, fileDescriptorResponse, func(files []byte) error {
		return fields(files, fileDescriptorProto, func(file []byte) error {
			f := &descriptorpb.FileDescriptorProto{}
			set.File = append(set.File, f)
			return proto.Unmarshal(file, f)
		})
	})
	if err != nil {
		return err
	}
	if len(set.File) == 0 {
		return errors.New("it knows no such service")
	}
	r.files, err = protodesc.NewFiles(set)
	return err
}

// fields calls f with each value of a field of a message.
func fields(message []byte, number protowire.Number, f func([]byte) error) error {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		message = message[size:]
		size = protowire.ConsumeFieldValue(n, kind, message)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if n == number && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			if err := f(value); err != nil {
				return err
			}
		}
		message = message[size:]
	}
	return nil
}
