//go:build linux

package proxies_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/internal/front"
	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

var reloads = flag.Int("reloads", 4, "how often the service is reloaded")

// daemonVariable has the test binary be the service.
const daemonVariable = "PROXIES_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(daemonVariable) != "" {
		chassis.Main(target.Spec)
	}
	os.Exit(m.Run())
}

func TestAProxyNoticesNothingOfAReload(t *testing.T) {
	for name, proxy := range map[string]front.Proxy{
		"haproxy": {Program: "haproxy", Mode: "http", Server: "maxconn 64 pool-max-conn 64"},
		"nginx":   {Program: "nginx", Mode: "http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("/tmp", "proxy") // short: sockets are in it
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			service, run := startService(t, dir)
			url := "http://" + proxy.Start(t, service) + "/work"

			stop := make(chan struct{})
			counts := load(url, stop)
			for i := range *reloads {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				o, _, err := reload.Ask(ctx, run, reload.CommandReload)
				cancel()
				if err != nil || o.Error != "" {
					t.Errorf("reload %d: %+v, %v", i, o, err)
				}
				// Each reload meets idle connections and requests under way.
				counts.atLeast(t, 100*(i+1))
			}
			close(stop)
			counts.done.Wait()
			if len(counts.failed) > 0 || counts.good < 100**reloads {
				t.Errorf("%d answers were good, %d not: %v", counts.good, len(counts.failed), counts.failed[:min(5, len(counts.failed))])
			}
			t.Logf("%d reloads, %d answers by %d workers, %d failed", *reloads, counts.good, len(counts.workers), len(counts.failed))
			if len(counts.workers) < *reloads {
				t.Errorf("%d workers answered, after %d reloads", len(counts.workers), *reloads)
			}
		})
	}
}

// counts is what clients have got.
type counts struct {
	mu      sync.Mutex
	good    int
	failed  []string
	workers map[string]bool
	done    sync.WaitGroup
}

// atLeast waits until so many requests have been answered.
func (c *counts) atLeast(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		c.mu.Lock()
		have := c.good + len(c.failed)
		c.mu.Unlock()
		if have >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d requests have been answered", have, n)
		}
		time.Sleep(time.Millisecond)
	}
}

// load has clients ask until stop is closed: some without a break, others with pauses in which the
// proxy's connections to the service are idle. Half of the requests are POST, which a proxy must
// not send twice.
func load(url string, stop <-chan struct{}) *counts {
	c := &counts{workers: map[string]bool{}}
	for i := range 16 {
		c.done.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(i*n%40) * time.Millisecond):
				}
				var res *http.Response
				var err error
				if n%2 == 0 {
					res, err = client.Get(url)
				} else {
					res, err = client.Post(url, "text/plain", strings.NewReader("a body"))
				}
				c.count(res, err)
			}
		})
	}
	return c
}

func (c *counts) count(res *http.Response, err error) {
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %.200q", res.Status, body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = append(c.failed, err.Error())
		return
	}
	c.good++
	worker, _, _ := strings.Cut(string(body), " ")
	c.workers[worker] = true
}

// startService starts the service and returns its address and its run directory.
func startService(t *testing.T, dir string) (addr, run string) {
	t.Helper()
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	addr, run = addrs[0], filepath.Join(dir, "run")
	cmd := exec.Command(os.Args[0], "-http.addr", addr, "-grpc.addr", "127.0.0.1:0", "-run-dir", run, "-access_log.path", "off")
	cmd.Env = append(os.Environ(), daemonVariable+"=1")
	output := start(t, cmd, filepath.Join(dir, "service"))
	await(t, func() error { return ask("http://" + addr + "/work") }, output)
	return addr, run
}

// start starts a program that ends with the test, by SIGTERM.
func start(t *testing.T, cmd *exec.Cmd, output string) string {
	t.Helper()
	f, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return output
}

func ask(url string) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", res.Status)
	}
	return nil
}

func await(t *testing.T, f func() error, output string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(output)
			t.Fatalf("%v\n%s", err, said)
		}
	}
}
