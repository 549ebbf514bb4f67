package lossbench

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// loops is how many requests one HTTP/2 client may have under way on its connection.
const loops = 4

// onlyReader hides the type of a body, without which net/http cannot send it again.
type onlyReader struct{ io.Reader }

func (c *client) h2cPost() { c.http2("http://"+c.load.options.HTTP+"/work", http.MethodPost) }

func (c *client) h2cGet() { c.http2("http://"+c.load.options.HTTP+"/work", http.MethodGet) }

func (c *client) tlsHTTP2() { c.http2("https://"+c.load.options.HTTPS+"/work", http.MethodPost) }

func (c *client) tlsHTTP2Idle() {
	tr := c.transport2()
	defer tr.CloseIdleConnections()
	c.afterIdling(func() { c.roundTrip(tr, http.MethodPost, "https://"+c.load.options.HTTPS+"/work") })
}

// http2 asks url from a few loops over one connection at a time.
func (c *client) http2(url, method string) {
	tr := c.transport2()
	defer tr.CloseIdleConnections()
	var wg sync.WaitGroup
	for range loops {
		loop := *c
		loop.rand = c.split()
		wg.Go(func() { loop.every(func() { loop.roundTrip(tr, method, url) }) })
	}
	wg.Wait()
}

// transport2 speaks HTTP/2, with TLS and without.
func (c *client) transport2() *http.Transport {
	tr := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return c.dial(ctx, addr) },
		DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			conn, err := c.dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			t := tls.Client(conn, tlsConfig("h2"))
			if err := t.HandshakeContext(ctx); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return t, nil
		},
	}
	tr.Protocols.SetHTTP2(true)
	tr.Protocols.SetUnencryptedHTTP2(true)
	return tr
}

func (c *client) roundTrip(tr *http.Transport, method, url string) {
	ctx, cancel := c.timeout()
	defer cancel()
	t0 := time.Now()
	id, err := c.exchange2(ctx, tr, method, url)
	for errors.Is(err, errNotSent) {
		c.stats.sawClose()
		id, err = c.exchange2(ctx, tr, method, url)
	}
	if err != nil {
		c.stats.fail(causeOf(err), 1)
		return
	}
	c.stats.done(t0, id)
}

// exchange2 makes one request and returns the id that the service gave it.
func (c *client) exchange2(ctx context.Context, tr *http.Transport, method, url string) (id string, err error) {
	var sent atomic.Int64
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Add(1) }})
	var payload io.Reader
	if method == http.MethodPost {
		payload = onlyReader{strings.NewReader(body)}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return "", err
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		if sent.Load() == 0 && strings.Contains(err.Error(), "cannot rewind body") {
			return "", errNotSent
		}
		return "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return "", err
	case sent.Load() > 1:
		return "", errSentTwice
	case method == http.MethodPost:
		return res.Header.Get(idHeader), checkWork(res.StatusCode, string(answer))
	}
	return res.Header.Get(idHeader), checkStatus(res.StatusCode, "")
}

// errNotSent says that the client read a GOAWAY between choosing the connection and opening a stream on it. It
// has put nothing on the wire, but closed the body, so that net/http (1.26) gives the request up. No server
// can keep it from that.
var errNotSent = errors.New("not sent")

// errSentTwice is the failure of a request that the client library hid by sending it again.
var errSentTwice = errors.New("sent twice")
