//go:build linux

// Package natscluster runs three real NATS servers with JetStream for tests: one process each, on a loopback
// address of their own, every write synced before it is acknowledged. .ci/install builds the server.
package natscluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

// Nodes is how many servers a cluster has, and how many replicas a stream can have.
const Nodes = 3

// patience is how long servers may take to find each other and elect a leader. The elections alone
// take 4 to 9 seconds.
const patience = 3 * time.Minute

// A Cluster is three servers that know each other.
type Cluster struct {
	program string
	dir     string
	nodes   []*node
}

// A node is one server. It keeps its ports and its files when it is started again.
type node struct {
	name                   string
	client, route, monitor string // host:port
	process                *process
}

// Start returns a cluster that takes streams with three replicas. It ends with the test, however the
// test ends.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{program: need.Built(t, "nats-server"), dir: t.TempDir()}
	for i := range Nodes {
		c.nodes = append(c.nodes, &node{name: fmt.Sprint("n", i)})
	}
	t.Cleanup(func() {
		for i, n := range c.nodes {
			c.Kill(t, i)
			if t.Failed() {
				t.Logf("the last lines of server %s:\n%s", n.name, tail(n.log(c), 20))
			}
		}
	})
	c.reserve(t)
	for i := range c.nodes {
		c.Up(t, i)
	}
	c.AwaitHealth(t)
	return c
}

// StartPlain returns the address of one server without JetStream, for tests that answer in its place. It
// takes messages of up to payload bytes and ends with the test.
func StartPlain(t testing.TB, payload int) (host string) {
	t.Helper()
	n := &node{name: "plain"}
	c := &Cluster{program: need.Built(t, "nats-server"), dir: t.TempDir(), nodes: []*node{n}}
	t.Cleanup(func() { c.Kill(t, 0) })
	c.reserve(t)
	c.run(t, n, fmt.Appendf(nil, "server_name: plain\nlisten: %q\nhttp: %q\nmax_payload: %d\n", n.client, n.monitor, payload))
	c.AwaitHealth(t)
	return n.client
}

// reserve finds free ports. They are on an address that belongs to this process, as no other has its
// number, so that they stay free while a server is down: 127.0.0.0/8 is all loopback on Linux.
func (c *Cluster) reserve(t testing.TB) {
	t.Helper()
	n := os.Getpid() // of 22 bits at most
	host := fmt.Sprintf("127.%d.%d.%d", 64+n>>16, n>>8&0xff, n&0xff)
	var held []net.Listener // together, so that all differ
	for _, n := range c.nodes {
		for _, addr := range []*string{&n.client, &n.route, &n.monitor} {
			l, err := net.Listen("tcp", host+":0")
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, l)
			*addr = l.Addr().String()
		}
	}
	for _, l := range held {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Hosts are the addresses that clients connect to, separated by commas.
func (c *Cluster) Hosts() string {
	var hosts []string
	for _, n := range c.nodes {
		hosts = append(hosts, n.client)
	}
	return strings.Join(hosts, ",")
}

// Host is the address of one server.
func (c *Cluster) Host(i int) string { return c.nodes[i].client }

// Up starts server i unless it runs.
func (c *Cluster) Up(t testing.TB, i int) {
	t.Helper()
	if n := c.nodes[i]; n.process == nil {
		c.run(t, n, c.config(n))
	}
}

// run starts a server with a configuration.
func (c *Cluster) run(t testing.TB, n *node, config []byte) {
	t.Helper()
	path := filepath.Join(c.dir, n.name+".conf")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(n.log(c), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if n.process, err = start(c.program, log, "-c", path); err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) config(n *node) []byte {
	var routes []string
	for _, other := range c.nodes {
		routes = append(routes, fmt.Sprintf("%q", "nats://"+other.route))
	}
	return fmt.Appendf(nil, `server_name: %s
listen: %q
http: %q
max_payload: 2MB
jetstream { store_dir: %q, sync_interval: always, max_mem: 64MB, max_file: 4GB }
cluster { name: tests, listen: %q, routes: [%s] }
`, n.name, n.client, n.monitor, filepath.Join(c.dir, n.name), n.route, strings.Join(routes, ", "))
}

func (n *node) log(c *Cluster) string { return filepath.Join(c.dir, n.name+".log") }

// Kill ends server i as kill -9 does, if it runs, and returns when it is gone.
func (c *Cluster) Kill(t testing.TB, i int) {
	t.Helper()
	n := c.nodes[i]
	if n.process == nil {
		return
	}
	// A stopped process dies of SIGKILL as well.
	if err := n.process.signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-n.process.done
	n.process = nil
}

// Stop has server i do nothing, while it keeps its connections, until Continue.
func (c *Cluster) Stop(t testing.TB, i int) { t.Helper(); c.signal(t, i, syscall.SIGSTOP) }

// Continue undoes Stop.
func (c *Cluster) Continue(t testing.TB, i int) { t.Helper(); c.signal(t, i, syscall.SIGCONT) }

func (c *Cluster) signal(t testing.TB, i int, s syscall.Signal) {
	t.Helper()
	if err := c.nodes[i].process.signal(s); err != nil {
		t.Fatal(err)
	}
}

// AwaitHealth returns when all servers that run are up to date with each other.
func (c *Cluster) AwaitHealth(t testing.TB) {
	t.Helper()
	await(t, "all servers healthy", func(ctx context.Context) error {
		for _, n := range c.nodes {
			if n.process == nil {
				continue
			}
			if err := n.process.ended(); err != nil {
				return fmt.Errorf("server %s: %w:\n%s", n.name, err, tail(n.log(c), 5))
			}
			if _, err := get(ctx, n.monitor, "/healthz"); err != nil {
				return err
			}
		}
		return nil
	})
}

// Leader is the number of the server that leads the stream, asked of those that run and answer. It
// waits for an election to end.
func (c *Cluster) Leader(t testing.TB, stream string) int {
	t.Helper()
	leader := -1
	await(t, "a leader of "+stream, func(ctx context.Context) error {
		for i, n := range c.nodes {
			if n.process == nil {
				continue
			}
			body, err := get(ctx, n.monitor, "/jsz?streams=true")
			if err != nil {
				continue // stopped, perhaps
			}
			if leads(body, stream, n.name) {
				leader = i
				return nil
			}
		}
		return fmt.Errorf("no server says that it leads stream %s", stream)
	})
	return leader
}

// leads reports whether what a server says of itself is that it leads the stream.
func leads(jsz []byte, stream, server string) bool {
	var said struct {
		Accounts []struct {
			Streams []struct {
				Name    string
				Cluster struct{ Leader string }
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if json.Unmarshal(jsz, &said) != nil {
		return false
	}
	for _, a := range said.Accounts {
		for _, s := range a.Streams {
			if s.Name == stream && s.Cluster.Leader == server {
				return true
			}
		}
	}
	return false
}

// await calls f until it returns nil.
func await(t testing.TB, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// get returns what a server's monitor says.
func get(ctx context.Context, host, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // a stopped server never answers
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s%s: %s: %s", host, path, res.Status, body)
	}
	return body, err
}

// tail returns the last n lines of a file.
func tail(path string, n int) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	lines := slices.DeleteFunc(bytes.Split(bytes.TrimSpace(text), []byte("\n")), func(line []byte) bool {
		return bytes.Contains(line, []byte("Healthcheck failed")) // what AwaitHealth was told
	})
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
