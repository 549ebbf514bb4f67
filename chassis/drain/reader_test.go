package drain_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// late reads a byte, which does not come, and returns how long it took until the deadline ended that.
func late(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	begun := time.Now()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v", n, err)
	}
	return time.Since(begun)
}

func TestAReadEndsAtTheDeadlineThatWasSetLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := between(t, drain.Entry{})
		at := func(d time.Duration) { _ = server.SetReadDeadline(time.Now().Add(d)) }
		for what, c := range map[string]struct {
			before func()
			during func() // after a second of the read
			want   time.Duration
		}{
			"one":                          {func() { at(time.Minute) }, nil, time.Minute},
			"later":                        {func() { at(time.Second); at(time.Hour) }, nil, time.Hour},
			"sooner":                       {func() { at(time.Hour); at(time.Minute) }, nil, time.Minute},
			"past":                         {func() { _ = server.SetReadDeadline(time.Unix(1, 0)) }, nil, 0},
			"a moment ago":                 {func() { at(-time.Nanosecond) }, nil, 0},
			"later while it reads":         {func() { at(time.Minute) }, func() { at(time.Hour) }, time.Hour + time.Second},
			"sooner while it reads":        {func() { at(time.Hour) }, func() { at(time.Minute) }, time.Minute + time.Second},
			"past while it reads":          {func() { at(time.Hour) }, func() { _ = server.SetReadDeadline(time.Unix(1, 0)) }, time.Second},
			"one where there was none":     {func() { _ = server.SetReadDeadline(time.Time{}) }, func() { at(time.Minute) }, time.Minute + time.Second},
			"none, and then one":           {func() { at(time.Minute) }, func() { _ = server.SetReadDeadline(time.Time{}); at(time.Hour) }, time.Hour + time.Second},
			"past, and then one, to begin": {func() { _ = server.SetReadDeadline(time.Unix(1, 0)); at(time.Minute) }, nil, time.Minute},
		} {
			c.before()
			if c.during != nil {
				time.AfterFunc(time.Second, c.during) // virtual
			}
			if took := late(t, server); took != c.want {
				t.Errorf("%s: the read ended after %v, want %v", what, took, c.want)
			}
			if took := late(t, server); took != 0 {
				t.Errorf("%s: the next read took %v", what, took)
			}
		}
		// Without one a read waits, even one that had a deadline at its beginning.
		at(time.Minute)
		time.AfterFunc(time.Second, func() { _ = server.SetReadDeadline(time.Time{}) })
		go func() {
			time.Sleep(24 * time.Hour) // virtual
			_, _ = client.Write([]byte("x"))
		}()
		if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
	})
}

func TestADeadlineEndsTheReadOfEveryGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := between(t, drain.Entry{})
		ended := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := server.Read(make([]byte, 1))
				ended <- err
			}()
		}
		_, _ = client.Write([]byte("x"))
		if err := <-ended; err != nil {
			t.Error(err)
		}
		begun := time.Now()
		_ = server.SetReadDeadline(begun.Add(time.Minute))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("the other ended after %v: %v", time.Since(begun), err)
		}
	})
}

// counted is a listener whose connections count how often a deadline for reading is set on them.
type counted struct {
	net.Listener
	set *atomic.Int64
}

type countedConn struct {
	*net.TCPConn
	set *atomic.Int64
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{c.(*net.TCPConn), l.set}, nil
}

func (c countedConn) SetReadDeadline(t time.Time) error {
	c.set.Add(1)
	return c.TCPConn.SetReadDeadline(t)
}

func TestRequestsThatComeInTimeSetHardlyAnyDeadline(t *testing.T) {
	clean(t)
	const requests = 200
	var set atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	s := serve(t, counted{listen(t), &set}, &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, IdleTimeout: time.Hour}, drain.Options{})
	c := dial(t, s.addr)
	for range requests {
		c.send(t, get("/"))
		res, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
	}
	// net/http asks for five a request. The read beside a handler, which has to be ended when that has
	// begun to wait, takes two.
	if n := set.Load(); n > 2*requests+10 {
		t.Errorf("%d deadlines were set for %d requests", n, requests)
	}
}

func TestWhoTakesAConnectionOverFindsNoDeadlineOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan error, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				got <- err
				return
			}
			defer c.Close()
			raw := c.(interface{ NetConn() net.Conn }).NetConn()
			_, err = raw.Read(make([]byte, 1)) // which no wrapper helps to go on
			got <- err
		})
		const within = 200 * time.Millisecond
		s := virtual(t, &http.Server{Handler: h, ReadHeaderTimeout: within}, drain.Options{})
		c := s.dial(t)
		c.send(t, get("/"))
		time.Sleep(2 * within) // virtual
		c.send(t, "x")
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}
