package lossbench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// websocket sends messages on a connection and wants each back before it sends the next.
func (c *client) websocket() {
	number := 0
	for !c.stopped() {
		socket, err := c.openSocket()
		if err != nil {
			c.stats.fail("open: "+causeOf(err), 1)
			c.pause(afterOutage)
			continue
		}
		err = socket.talk(&number)
		switch status := websocket.CloseStatus(err); {
		case err == nil: // the load has ended
		case status == websocket.StatusGoingAway || status == websocket.StatusServiceRestart:
			c.stats.reopened()
		case status >= 0:
			c.stats.fail(fmt.Sprintf("closed with %d", int(status)), 1)
		default:
			c.stats.fail("cut: "+causeOf(err), 1)
		}
	}
}

// socket is one websocket. It is always read, so that a closing handshake is answered at once.
type socket struct {
	client  *client
	conn    *websocket.Conn
	answers chan string
	ended   chan error // gets what ended the connection
	stop    context.CancelFunc
}

func (c *client) openSocket() (*socket, error) {
	ctx, cancel := c.timeout()
	defer cancel()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return c.dial(ctx, addr) }}
	conn, res, err := websocket.Dial(ctx, "ws://"+c.load.options.HTTP+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	if err != nil {
		tr.CloseIdleConnections()
		if res != nil {
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		return nil, err
	}
	reading, stop := context.WithCancel(context.Background())
	s := &socket{client: c, conn: conn, answers: make(chan string), ended: make(chan error, 1), stop: stop}
	go s.receive(reading)
	return s, nil
}

func (s *socket) receive(ctx context.Context) {
	for {
		_, message, err := s.conn.Read(ctx)
		if err != nil {
			s.ended <- err
			return
		}
		select {
		case s.answers <- string(message):
		case <-ctx.Done():
			s.ended <- ctx.Err()
			return
		}
	}
}

// talk returns what ended the connection, nil when that was the end of the load.
func (s *socket) talk(number *int) error {
	c := s.client
	defer s.stop()
	defer s.conn.CloseNow()
	for next := time.Now(); ; {
		next = next.Add(c.upTo(2 * c.interval))
		pause := time.NewTimer(max(0, time.Until(next)))
		select {
		case err := <-s.ended:
			pause.Stop()
			return err
		case <-c.load.stop:
			pause.Stop()
			return nil
		case <-s.answers:
			pause.Stop()
			return errors.New("an answer to nothing")
		case <-pause.C:
		}
		*number++
		if err := s.ask(fmt.Sprint(*number)); err != nil {
			return err
		}
	}
}

func (s *socket) ask(message string) error {
	t0 := time.Now()
	ctx, cancel := s.client.timeout()
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		// The server's close, if that is why, is what the reader has seen.
		select {
		case seen := <-s.ended:
			return seen
		case <-ctx.Done():
			return err
		}
	}
	select {
	case answer := <-s.answers:
		if answer != message {
			return errors.New("wrong answer")
		}
		s.client.stats.done(t0, "")
		return nil
	case err := <-s.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
