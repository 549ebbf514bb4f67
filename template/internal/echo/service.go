package echo

import (
	"context"
	"unicode/utf8"

	"github.com/seed-754044b3/roadworthy/chassis/failure"

	"github.com/seed-754044b3/roadworthy/template/echov1"
)

// maxMessage is how many characters a message may have.
const maxMessage = 1000

// service implements the contract.
type service struct {
	echov1.UnimplementedEchoServiceServer
}

// Echo implements echo.v1.EchoService.
func (*service) Echo(_ context.Context, req *echov1.EchoRequest) (*echov1.EchoResponse, error) {
	message := req.GetMessage()
	if message == "" {
		return nil, errMessageMissing
	}
	if n := utf8.RuneCountInString(message); n > maxMessage {
		return nil, errMessageTooLong.With("characters", failure.Safe(n)).With("limit", failure.Safe(maxMessage))
	}
	return &echov1.EchoResponse{Message: message}, nil
}
