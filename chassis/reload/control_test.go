//go:build unix

package reload

import (
	"fmt"
	"net"
	"testing"
	"time"
)

func TestWhoAsksAndLeavesIsForgotten(t *testing.T) {
	s := patient(t)
	s.Directory = shortDir(t)
	must(t, s.openDirectory())
	defer s.closeDirectory()
	s.starting = &worker{} // the reloads have to wait
	asks := func(c Command) net.Conn {
		conn, err := net.Dial("unix", s.Directory+"/"+controlName)
		must(t, err)
		_, err = fmt.Fprintf(conn, "{\"command\":%q}\n", c)
		must(t, err)
		return conn
	}
	first, second := asks(CommandReload), asks(CommandReload)
	pump(t, s, func() bool { return len(s.queued) == 2 })
	s.waiters, s.queued = s.queued[:1:1], s.queued[1:] // one reload is under way
	must(t, first.Close())
	must(t, second.Close())
	pump(t, s, func() bool { return len(s.waiters)+len(s.queued) == 0 })
	s.stopping = time.Now()
	stop := asks(CommandStop)
	pump(t, s, func() bool { return len(s.stopped) == 1 })
	must(t, stop.Close())
	pump(t, s, func() bool { return len(s.stopped) == 0 })
}

func TestClientsAreBoundedAndTold(t *testing.T) {
	s := patient(t)
	s.Directory = shortDir(t)
	must(t, s.openDirectory())
	defer s.closeDirectory()
	for range maxClients { // that say nothing
		conn, err := net.Dial("unix", s.Directory+"/"+controlName)
		must(t, err)
		defer conn.Close()
	}
	_, _, err := Ask(within(t), s.Directory, "dance")
	refused(t, "one more", err, "busy: 96 clients are connected")
}
