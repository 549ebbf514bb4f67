package lossbench

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// body is what clients send to /work.
const body = "01234567890123456789"

// http1 is a client on a bare connection: net/http's would send a request again when the connection it had
// kept turns out to be closed.
type http1 struct {
	client  *client
	addr    string
	tls     *tls.Config // nil for plain text
	request string      // the whole request as it goes on the wire
	check   func(status int, answer string) error
	keep    bool // the connection, after an answer

	conn   *Conn // nil when there is none
	stream net.Conn
	reader *bufio.Reader
	reused bool   // conn has carried a request before
	id     string // of the last request that was answered
}

// maxAnswer bounds the answers that are read.
const maxAnswer = 1 << 20

func (c *client) post(addr string, config *tls.Config, keep bool) *http1 {
	connection := ""
	if !keep {
		connection = "Connection: close\r\n"
	}
	return &http1{client: c, addr: addr, tls: config, keep: keep, check: checkWork,
		request: fmt.Sprintf("POST /work HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n%s", addr, len(body), connection, body)}
}

// checkWork holds the answer of /work against the request.
func checkWork(status int, answer string) error {
	if status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	if pid, n, ok := strings.Cut(strings.TrimSpace(answer), " "); !ok || pid == "" || n != fmt.Sprint(len(body)) {
		return errors.New("wrong answer")
	}
	return nil
}

func (c *client) http1Busy() { c.every1(c.post(c.load.options.HTTP, nil, true)) }

func (c *client) http1Fresh() { c.every1(c.post(c.load.options.HTTP, nil, false)) }

func (c *client) tlsHTTP1() { c.every1(c.post(c.load.options.HTTPS, tlsConfig("http/1.1"), true)) }

func (c *client) every1(h *http1) {
	defer h.close()
	c.every(h.ask)
}

func (c *client) http1Idle() { c.idle1(c.post(c.load.options.HTTP, nil, true)) }

func (c *client) tlsHTTP1Idle() { c.idle1(c.post(c.load.options.HTTPS, tlsConfig("http/1.1"), true)) }

func (c *client) idle1(h *http1) {
	defer h.close()
	c.afterIdling(h.ask)
}

// get asks each URL in turn, on a connection for each.
func (c *client) get() {
	var all []*http1
	for _, text := range c.load.options.URLs {
		u, err := url.Parse(text)
		if err != nil {
			panic(err) // Start has checked it
		}
		h := &http1{client: c, addr: u.Host, keep: true, check: checkStatus,
			request: fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.RequestURI(), u.Host)}
		port := "80"
		if u.Scheme == "https" {
			h.tls, port = tlsConfig("http/1.1"), "443"
		}
		if u.Port() == "" {
			h.addr = net.JoinHostPort(u.Hostname(), port)
		}
		all = append(all, h)
		defer h.close()
	}
	n := 0
	c.every(func() {
		all[n%len(all)].ask()
		n++
	})
}

func checkStatus(status int, _ string) error {
	if status >= 400 {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// tlsConfig believes any certificate: what is measured is the connection.
func tlsConfig(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}
}

// ask makes one request and records it.
func (h *http1) ask() {
	s := h.client.stats
	t0 := time.Now()
	if h.conn != nil && h.conn.SeenClose() {
		s.sawClose()
		h.close()
	}
	if h.conn == nil {
		if err := h.open(); err != nil {
			s.fail("dial: "+causeOf(err), 1)
			return
		}
	}
	keep, err := h.exchange()
	switch {
	case err != nil && h.reused:
		s.fail("reused: "+causeOf(err), 1)
	case err != nil:
		s.fail("fresh: "+causeOf(err), 1)
	default:
		s.done(t0, h.id)
	}
	h.reused = true
	if err != nil || !keep {
		h.close()
	}
}

func (h *http1) open() error {
	ctx, cancel := h.client.timeout()
	defer cancel()
	conn, err := h.client.dial(ctx, h.addr)
	if err != nil {
		return err
	}
	h.conn, h.stream, h.reused = conn, conn, false
	if h.tls != nil {
		t := tls.Client(conn, h.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			h.close()
			return at("handshake", err)
		}
		h.stream = t
	}
	h.reader = bufio.NewReader(h.stream)
	return nil
}

// exchange reports whether the connection may be used again.
func (h *http1) exchange() (keep bool, err error) {
	if err := h.stream.SetDeadline(time.Now().Add(h.client.load.options.Timeout)); err != nil {
		return false, err
	}
	if _, err := io.WriteString(h.stream, h.request); err != nil {
		return false, err
	}
	res, err := http.ReadResponse(h.reader, nil)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return false, at("body", err)
	}
	h.id = res.Header.Get(idHeader)
	return h.keep && !res.Close && len(answer) < maxAnswer, h.check(res.StatusCode, string(answer))
}

func (h *http1) close() {
	if h.conn != nil {
		_ = h.stream.Close()
		_ = h.conn.Close() // TLS's does not when its handshake has failed
		h.conn = nil
	}
}
