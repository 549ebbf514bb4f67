//go:build linux

package natscluster_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

// request sends a request in the protocol of NATS clients and returns the body of its answer.
func request(t *testing.T, host, subject, body string) (string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil { // a stopped server takes requests and never answers
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB %s answer %d\r\n%s\r\n", subject, len(body), body); err != nil {
		return "", err
	}
	for s := bufio.NewScanner(conn); ; {
		if !s.Scan() {
			return "", fmt.Errorf("the connection ended: %v", s.Err())
		}
		if strings.HasPrefix(s.Text(), "MSG answer ") && s.Scan() {
			return s.Text(), nil
		}
	}
}

func TestAClusterElectsAnotherLeaderWhenOneIsKilled(t *testing.T) {
	c := natscluster.Start(t)
	if got, want := c.Hosts(), c.Host(0)+","+c.Host(1)+","+c.Host(2); got != want {
		t.Errorf("the hosts are %s, want %s", got, want)
	}
	if answer, err := request(t, c.Host(0), "$JS.API.STREAM.CREATE.S", `{"name":"S","subjects":["s"],"num_replicas":3}`); err != nil || strings.Contains(answer, `"error"`) {
		t.Fatalf("make a stream: %s, %v", answer, err)
	}
	first := c.Leader(t, "S")
	c.Kill(t, first)
	c.Kill(t, first) // it is
	if answer, err := request(t, c.Host(first), "$JS.API.INFO", ""); err == nil {
		t.Errorf("a killed server answers %s", answer)
	}
	second := c.Leader(t, "S")
	if second == first {
		t.Errorf("server %d is killed and leads", first)
	}
	c.Up(t, first)
	c.Up(t, first) // it is
	c.AwaitHealth(t)
	c.Stop(t, first)
	if answer, err := request(t, c.Host(first), "$JS.API.INFO", ""); err == nil {
		t.Errorf("a stopped server answers %s", answer)
	}
	c.Continue(t, first)
	c.AwaitHealth(t)
}
