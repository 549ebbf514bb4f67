package wire

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// RawHTTP makes the calls that [HTTP] makes without an HTTP client: it writes each request into a
// connection of its own to addr, such as "127.0.0.1:8080", byte by byte as RFC 9112 has it.
func RawHTTP(addr string, routes Routes) Caller {
	return &overHTTP{routes: routes, send: func(ctx context.Context, verb, target string, body []byte) (*http.Response, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		// A connection knows no context: the end of ctx cuts it.
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", verb, target, addr)
		if len(body) > 0 {
			fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
		}
		b.WriteString("\r\n")
		b.Write(body)
		var resp *http.Response
		if _, err = conn.Write(b.Bytes()); err == nil {
			resp, err = http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: verb})
		}
		if err != nil {
			stop()
			_ = conn.Close()
			return nil, fmt.Errorf("%s %s: %w", verb, target, err)
		}
		resp.Body = &rawBody{resp.Body, conn, stop}
		return resp, nil
	}}
}

// rawBody is an answer's body that closes the connection too.
type rawBody struct {
	io.Reader
	conn net.Conn
	stop func() bool
}

// Close implements io.Closer.
func (b *rawBody) Close() error {
	b.stop()
	return b.conn.Close()
}
