package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// content is the body of a request, for each of its attempts.
type content struct {
	first  io.ReadCloser                 // for the first attempt, nil when there is none, or again serves it too
	again  func() (io.ReadCloser, error) // for the others; nil when there can be none
	length int64
	rewind bool // whether net/http may use again too
}

// none is no body at all, which can be had as often as one likes.
func none() (io.ReadCloser, error) { return http.NoBody, nil }

// content takes the body of req, which is read in advance if that is what it takes to have it again.
// On an error it is closed, and when ctx ends before it has been read.
func (c *Client) content(ctx context.Context, req *http.Request, idempotent bool) (content, error) {
	b := content{first: req.Body, again: req.GetBody, length: req.ContentLength, rewind: true}
	if req.Body == nil || req.Body == http.NoBody {
		return content{again: none}, nil
	}
	most := int64(c.cfg.MaxReplay)
	if b.again != nil || !idempotent || b.length > most {
		return b, nil
	}
	stop := context.AfterFunc(ctx, func() { closeBody(req) }) // which wakes whoever reads it, as net/http does
	read, err := io.ReadAll(io.LimitReader(req.Body, most+1))
	if !stop() {
		return content{}, fmt.Errorf("read the request's body: %w", ctx.Err())
	}
	if err != nil {
		closeBody(req)
		return content{}, fmt.Errorf("read the request's body: %w", err)
	}
	if int64(len(read)) > most {
		b.first = &struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(read), req.Body), req.Body}
		return b, nil
	}
	closeBody(req)
	b.first, b.again = nil, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(read)), nil }
	return b, nil
}

// put gives out the body for its attempt.
func (b *content) put(out *http.Request, first bool) error {
	if first && b.first != nil {
		out.Body = b.first
	} else {
		body, err := b.again()
		if err != nil {
			return fmt.Errorf("have the request's body again: %w", err)
		}
		out.Body = body
	}
	out.ContentLength = b.length
	if b.rewind {
		out.GetBody = b.again
	}
	return nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// held has the body of an answer keep its request's context until it is closed.
func held(body io.ReadCloser, cancel context.CancelFunc) io.ReadCloser {
	h := holding{body, cancel}
	if w, ok := body.(io.Writer); ok { // of a connection that changed its protocol
		return &holdingBoth{h, w}
	}
	return &h
}

type holding struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (h *holding) Close() error {
	defer h.cancel()
	return h.ReadCloser.Close()
}

type holdingBoth struct {
	holding
	io.Writer
}
