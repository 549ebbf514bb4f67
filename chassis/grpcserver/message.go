package grpcserver

import (
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	encodingproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A message that cannot be read is the caller's failure. grpc-go answers it INTERNAL and tells
// nobody why, as if it were the service's. So messages are received in envelopes: to grpc-go every
// one can be read, and the chain opens the envelope. An answer that cannot be written is the
// service's failure, which grpc-go answers when the chain has counted a success. So answers are
// written in the chain, and grpc-go gets the bytes.

// envelope is a message being received and what is wrong with it.
type envelope struct {
	message any
	err     error
	admit   func() error // what its call waits for when it has come, before it is read; nil: nothing
	refused error        // what admit has returned
}

// reply is a small answer of a unary method as it goes over the wire.
type reply struct {
	one  [1]mem.Buffer
	data mem.SliceBuffer // what is in it
}

// written is a larger one.
type written struct{ data mem.BufferSlice }

// codec is grpc-go's for protobuf, which also reads into envelopes and takes what is written already.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(encodingproto.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case *reply:
		return v.one[:], nil
	case written:
		return v.data, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	e, ok := v.(*envelope)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if e.admit != nil {
		if e.refused = e.admit(); e.refused != nil {
			return nil
		}
	}
	e.err = c.CodecV2.Unmarshal(data, e.message)
	return nil
}

// receive has recv read message in e.
func (e *envelope) receive(message any, recv func(any) error) error {
	e.message = message
	err := recv(e)
	e.message = nil
	if err != nil {
		if status.Code(err) == codes.ResourceExhausted {
			return failure.TooLarge.Wrap(err)
		}
		return err
	}
	if e.refused != nil {
		return e.refused
	}
	if e.err != nil {
		return failure.Malformed.With("reason", failure.Safe(e.err)).Wrap(e.err)
	}
	return nil
}

// RecvMsg implements grpc.ServerStream, where one goroutine at a time receives.
func (s *serverStream) RecvMsg(m any) error { return s.call.in.receive(m, s.ServerStream.RecvMsg) }

// receive reads the message of a unary call. The time that the method has begins when it is here.
func (cl *call) receive(m any) error {
	if err := cl.in.receive(m, cl.recv); err != nil {
		return err
	}
	if _, ok := cl.Parent.Deadline(); !ok && cl.chain.timeout > 0 {
		cl.Bound(cl.chain.timeout)
	}
	return cl.intercept(m)
}

// seal writes the answer of a unary method. What is no message is left to grpc-go.
func (cl *call) seal(resp any) (any, error) {
	m, ok := resp.(proto.Message)
	if !ok {
		return resp, nil
	}
	size := proto.Size(m)
	if err := cl.fits(size); err != nil {
		return nil, err
	}
	sealed, err := cl.write(m, size)
	if err != nil {
		return nil, failure.Unclassified.Wrap(err)
	}
	cl.bytes = int64(size)
	return sealed, nil
}

// write does what grpc-go's codec does, of a small message with one object for its three.
func (cl *call) write(m proto.Message, size int) (any, error) {
	if !mem.IsBelowBufferPoolingThreshold(size) {
		data, err := cl.chain.codec.Marshal(m)
		return written{data}, err
	}
	data, err := proto.MarshalOptions{UseCachedSize: true}.Marshal(m)
	cl.out.data = data
	cl.out.one[0] = &cl.out.data
	return &cl.out, err
}

// registrar has unary methods run in the chain, and knows all methods.
type registrar struct {
	reflection.GRPCServer
	chain *chain
}

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	d := *desc
	d.Methods = slices.Clone(desc.Methods)
	for i := range d.Methods {
		m := &d.Methods[i]
		m.Handler = r.chain.unary("/"+d.ServiceName+"/"+m.MethodName, m.Handler)
	}
	for i := range d.Streams {
		r.chain.add("/" + d.ServiceName + "/" + d.Streams[i].StreamName)
	}
	r.chain.remember(&d, impl)
	r.GRPCServer.RegisterService(&d, impl)
}
