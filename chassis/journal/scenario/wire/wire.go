package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
)

// A Caller makes calls of a service. Implementations are safe for concurrent use.
type Caller interface {
	// Open begins the call of a method, such as "/game.v1.GameService/DropDisc", that takes one
	// message. ctx bounds the whole call. The error may be the service's answer.
	Open(ctx context.Context, method string, request proto.Message) (Stream, error)
}

// A Stream is the answers to one call. It is used by one goroutine; whoever opened it closes it.
type Stream interface {
	// Next is the next answer, io.EOF after the last one.
	Next() (proto.Message, error)
	// Close ends the call, if it goes on, and frees what it holds.
	Close() error
}

// Call makes a call that has one answer.
func Call(ctx context.Context, c Caller, method string, request proto.Message) (proto.Message, error) {
	answers, err := Take(ctx, c, method, request, 1)
	if err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		return nil, fmt.Errorf("%s: the call ended without an answer", method)
	}
	return answers[0], nil
}

// Take makes a call and returns its first answers, at most n, or fewer when there are no more.
func Take(ctx context.Context, c Caller, method string, request proto.Message, n int) ([]proto.Message, error) {
	s, err := c.Open(ctx, method, request)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var answers []proto.Message
	for len(answers) < n {
		answer, err := s.Next()
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// Failure is the number of the failure code that a call was answered with, 0 when err is nil or is no
// answer, as when nobody listens.
func Failure(err error) int {
	if err == nil {
		return 0
	}
	ref, _ := grpcclient.CodeOf(err)
	return ref.Number
}

// method finds a method of the contract in what is linked.
func method(name string) (protoreflect.MethodDescriptor, error) {
	full := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(name, "/"), "/", "."))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(full)
	if err != nil {
		return nil, fmt.Errorf("method %s: %w", name, err)
	}
	m, ok := d.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, fmt.Errorf("method %s: it is not a method; want one such as /package.Service/Method", name)
	}
	return m, nil
}

// answerOf is an empty answer of a method.
func answerOf(m protoreflect.MethodDescriptor) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return nil, fmt.Errorf("method %s: its answers: %w", m.FullName(), err)
	}
	return t.New().Interface(), nil
}

// one is the stream of a call with one answer.
type one struct{ answer proto.Message }

// Next implements Stream.
func (o *one) Next() (proto.Message, error) {
	if o.answer == nil {
		return nil, io.EOF
	}
	answer := o.answer
	o.answer = nil
	return answer, nil
}

// Close implements Stream.
func (o *one) Close() error { return nil }
