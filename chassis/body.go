package chassis

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// body is a request's body. Its errors are failures that say why it could not be read.
type body struct {
	io.ReadCloser
	ctx  context.Context // ends when the caller leaves
	pace pace
	arrival
	// unread is why it could not be read, nil while it could. Goroutines of the handler's may read.
	unread atomic.Pointer[failure.Error]
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.pace.read(n)
	b.arrival.read(n, err)
	switch {
	case err == nil, err == io.EOF, errors.Is(err, http.ErrBodyReadAfterClose):
		return n, err
	}
	var f *failure.Error
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		f = failure.From(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = failure.TooSlow.Wrap(err)
	case b.ctx.Err() != nil:
		f = failure.CallerLeft.Wrap(err)
	default:
		f = failure.Malformed.Wrap(err)
	}
	b.unread.Store(f)
	return n, f
}

// Close may read what is left of a body of HTTP/1.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.arrived()
	return err
}
