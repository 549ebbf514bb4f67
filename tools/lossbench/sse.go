package lossbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// serverSentEvents keeps one stream of events open. A request is a stream that was opened; its latency is
// the time to the first event.
func (c *client) serverSentEvents() {
	for !c.stopped() {
		switch err := c.events(); {
		case errors.Is(err, errStopped):
			return
		case err != nil:
			c.stats.fail(causeOf(err), 1)
			c.pause(afterOutage)
		default:
			c.stats.reopened()
		}
	}
}

// errStopped says that a stream was ended by the load's end.
var errStopped = errors.New("the load has ended")

// events opens a stream and follows it to its end: nil when the server said to reconnect.
func (c *client) events() error {
	t0 := time.Now()
	ctx, cancel := c.timeout()
	defer cancel()
	conn, err := c.dial(ctx, c.load.options.HTTP)
	if err != nil {
		return at("dial", err)
	}
	defer conn.Close()
	over := context.AfterFunc(c.load.context, func() { conn.Close() })
	defer over()
	err = c.follow(conn, t0)
	if err != nil && c.stopped() {
		return errStopped
	}
	return err
}

func (c *client) follow(conn net.Conn, t0 time.Time) error {
	wait := func() { _ = conn.SetReadDeadline(time.Now().Add(c.load.options.Timeout)) }
	wait()
	if _, err := fmt.Fprintf(conn, "GET /sse HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", c.load.options.HTTP); err != nil {
		return at("open", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return at("open", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return at("open", fmt.Errorf("status %d", res.StatusCode))
	}
	lines := bufio.NewReader(res.Body)
	last, reconnect := 0, false
	for {
		line, err := lines.ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && reconnect:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("ended without notice")
		case err != nil:
			return at("stream", err)
		}
		wait()
		line = strings.TrimSuffix(line, "\n")
		if line == "event: reconnect" {
			reconnect = true
		}
		id, ok := strings.CutPrefix(line, "id: ")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(id); err != nil || n != last+1 {
			return fmt.Errorf("event %q after %d", id, last)
		}
		if last++; last == 1 {
			c.stats.done(t0, "")
		}
	}
}
