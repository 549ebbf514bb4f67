package drain_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

func TestStatesTellWhatConnectionsDo(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			entered <- struct{}{}
			<-release
		case "/hijack":
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			entered <- struct{}{}
			<-release
		}
	})
	s := start(t, h, drain.Options{H2C: true})
	ask := func(path string) net.Conn {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if path != "" {
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		}
		return c
	}
	want := func(want drain.States) {
		t.Helper()
		var got drain.States
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if got = s.States(); got == want {
				return
			}
		}
		t.Errorf("%+v, want %+v", got, want)
	}
	want(drain.States{})
	ask("")
	want(drain.States{New: 1})
	idle := ask("/")
	res, err := http.ReadResponse(bufio.NewReader(idle), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	want(drain.States{New: 1, Idle: 1})
	ask("/wait")
	<-entered
	want(drain.States{New: 1, Idle: 1, Active: 1})
	ask("/hijack")
	<-entered
	want(drain.States{New: 1, Idle: 1, Active: 1, Hijacked: 1})

	// HTTP/2 without TLS: active with a stream, idle after it.
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	answered := make(chan error, 1)
	go func() {
		res, err := client.Get("http://" + s.addr + "/wait")
		if err == nil {
			err = res.Body.Close()
		}
		answered <- err
	}()
	<-entered
	want(drain.States{New: 1, Idle: 1, Active: 2, Hijacked: 1})
	close(release)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	want(drain.States{New: 1, Idle: 3})
}
