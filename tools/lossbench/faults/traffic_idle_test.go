//go:build linux

package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// socket is a connection that is kept.
type socket struct {
	net.Conn
	answers *bufio.Reader
}

// ask makes a request and returns the process that answered, and whether the connection goes on.
func (s *socket) ask() (pid int, keep bool, err error) {
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, false, err
	}
	if _, err := io.WriteString(s, "GET /work?ms=0 HTTP/1.1\r\nHost: lossd\r\n\r\n"); err != nil {
		return 0, false, err
	}
	res, err := http.ReadResponse(s.answers, nil)
	if err != nil {
		return 0, false, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, false, fmt.Errorf("status %d", res.StatusCode)
	}
	if _, err := fmt.Fscan(res.Body, &pid); err != nil {
		return 0, false, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return pid, !res.Close, err
}

// sockets are connections that wait for their next request.
type sockets []*socket

// idle opens so many connections, each of which has had an answer, as far as this process may open files.
func (d *daemon) idle(n int) sockets {
	d.t.Helper()
	const others = 300 // files that this process and a worker have open beside them
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		d.t.Fatal(err)
	}
	if limit.Cur < uint64(n+others) {
		d.t.Logf("%d sockets instead of %d: RLIMIT_NOFILE is %d", int(limit.Cur)-others, n, limit.Cur)
		n = int(limit.Cur) - others
	}
	all := make(sockets, n)
	for i := range all {
		c, err := net.DialTimeout("tcp", d.http, patience)
		if err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { _ = c.Close() })
		all[i] = &socket{c, bufio.NewReaderSize(c, 512)}
	}
	if by := all.ask(d.t); by[d.active()] != n {
		d.t.Fatalf("%d sockets answered by processes: %v", n, by)
	}
	return all
}

// ask uses each connection that goes on once, a few at a time. It returns how many answers each process gave;
// an answer that does not come is an error. Connections that the server wants closed are.
func (all sockets) ask(t *testing.T) map[int]int {
	t.Helper()
	var mu sync.Mutex
	var failed, next atomic.Int64
	by := map[int]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				pid, keep, err := all[i].ask()
				if err != nil {
					if failed.Add(1) == 1 {
						t.Errorf("socket %d: %v", i, err)
					}
					continue
				}
				if !keep {
					_ = all[i].Close()
				}
				mu.Lock()
				by[pid]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, len(all))
	}
	return by
}

func (all sockets) close() {
	for _, s := range all {
		_ = s.Close()
	}
}

// Row 19. It does not run beside others, so that the time means something.
func TestFourThousandIdleSocketsAreHandedOver(t *testing.T) {
	d := start(t, options{})
	all := d.idle(4000)
	d.reload()
	begin := time.Now()
	d.settled()
	took := time.Since(begin)
	t.Logf("%d sockets handed over within %v", len(all), took.Round(time.Millisecond))
	// Half a second is what it takes at most on two processors that have nothing else to do.
	if took > 30*time.Second {
		t.Errorf("%d sockets were handed over in %v", len(all), took)
	}
	if by := all.ask(t); by[d.active()] != len(all) {
		t.Errorf("answers by process: %v, want %d by the new worker alone", by, len(all))
	}
	m := d.metrics()
	given, adopted := sum(m, "connections_given_total", `listener="http"`), sum(m, "connections_adopted_total", `listener="http"`)
	if given != float64(len(all)) || adopted != given {
		t.Errorf("%v connections given, %v adopted, want %d", given, adopted, len(all))
	}
	all.close()
	d.stop()
}

// Row 19. The new worker can open fewer files than there are connections: those that it cannot take stay
// where they are.
func TestSocketsThatTheNewWorkerHasNoDescriptorForStayWithTheOldOne(t *testing.T) {
	t.Parallel()
	const limit = 300
	p := deploy(t)
	d := start(t, p.options("-drain.min=1m", "-drain.timeout=90s"))
	all := d.idle(1000)
	old := d.active()
	p.replace(p.script(fmt.Sprintf("ulimit -n %d", limit)))
	d.reload()
	taken := func() float64 { return sum(d.metrics(), "connections_given_total") }
	d.until("some are handed over", func() bool { return taken() > limit/2 })
	by := all.ask(t)
	if by[old] < len(all)-limit || by[old]+by[d.active()] != len(all) || by[d.active()] == 0 {
		t.Errorf("answers by process: %v, want some by the new worker and the others by process %d", by, old)
	}
	t.Logf("answers by process: %v, the old one was %d", by, old)
	all.close()
	d.settled()
	d.stop()
}
