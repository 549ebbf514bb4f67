package peerbench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
)

// How many connections h2load opens, and how many requests it keeps under way on each.
const (
	http1Conns = 32
	h2Conns    = 8
	h2Streams  = 4
)

// endTimeout is how long h2load may take beyond what it was told.
const endTimeout = 5 * time.Second

// message is the gRPC message that is sent and comes back.
var message = &wrapperspb.BytesValue{Value: bytes.Repeat([]byte("x"), 100)}

// frame is message as a gRPC body: a length and the message (gRPC over HTTP2, Length-Prefixed-Message).
func frame() ([]byte, error) {
	body, err := proto.Marshal(message)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...), err
}

// load is one run of h2load against a server.
type load struct {
	protocol Protocol
	duration time.Duration
	rate     float64 // requests a second; 0 is as many as there are answers
	cpu      int
}

// outcome is what h2load saw.
type outcome struct {
	requests int           // that were answered
	bad      int           // of them, not with the answer that was wanted
	span     time.Duration // that it took
	p50, p99 time.Duration // from sending to the answer's end; 0 without a rate
}

// size is the number of bytes that an answer has.
func (p Protocol) size() int {
	if p == GRPC {
		return 5 + proto.Size(message)
	}
	return len(echo.Body)
}

// url is what is asked of the server at an address.
func (p Protocol) url(addr string) string {
	switch p {
	case H2:
		return "https://" + addr + "/hello"
	case GRPC:
		return "http://" + addr + echo.Method
	}
	return "http://" + addr + "/hello"
}

// run loads the server at an address. dir takes files.
func (l load) run(ctx context.Context, addr, dir string) (outcome, error) {
	args := []string{"h2load", "--threads=1", fmt.Sprintf("--duration=%dms", l.duration.Milliseconds())}
	conns := h2Conns
	switch l.protocol {
	case HTTP1:
		conns = http1Conns
		args = append(args, "--h1")
	case GRPC:
		body, err := frame()
		if err != nil {
			return outcome{}, err
		}
		name := filepath.Join(dir, "body")
		if err := os.WriteFile(name, body, 0o600); err != nil {
			return outcome{}, err
		}
		args = append(args, "--data="+name, "--header=content-type: application/grpc", "--header=te: trailers")
	}
	args = append(args, "--clients="+strconv.Itoa(conns))
	if l.protocol != HTTP1 {
		args = append(args, "--max-concurrent-streams="+strconv.Itoa(h2Streams))
	}
	times := ""
	if l.rate > 0 {
		times = filepath.Join(dir, "times")
		// It appends.
		if err := os.Remove(times); err != nil && !errors.Is(err, os.ErrNotExist) {
			return outcome{}, err
		}
		args = append(args, "--rps="+strconv.FormatFloat(l.rate/float64(conns), 'f', 1, 64), "--log-file="+times)
	}
	// h2load waits for ever when its time is over before its connections are open, and it has a rate.
	bounded, cancel := context.WithTimeout(ctx, l.duration+endTimeout)
	defer cancel()
	var out, said bytes.Buffer
	cmd := pinned(bounded, l.cpu, append(args, l.protocol.url(addr)))
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if bounded.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("it was to take %v and did not end: %w", l.duration, err)
		}
		return outcome{}, fmt.Errorf("h2load: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	o, err := parse(out.String(), l.protocol.size())
	if err == nil && times != "" {
		err = o.readTimes(times)
	}
	return o, err
}

var (
	finished = regexp.MustCompile(`finished in ([0-9.]+[a-z]+),`)
	requests = regexp.MustCompile(`(\d+) done, (\d+) succeeded`)
	traffic  = regexp.MustCompile(`traffic: .*\((\d+)\) data`)
)

// parse reads what h2load prints. An answer counts as good when its status is 2xx and its body was there:
// a gRPC call that failed has status 200 and no body. size is that of a body.
func parse(text string, size int) (o outcome, err error) {
	span, counts, data := finished.FindStringSubmatch(text), requests.FindStringSubmatch(text), traffic.FindStringSubmatch(text)
	if span == nil || counts == nil || data == nil {
		return o, fmt.Errorf("h2load printed what is no result: %q", text)
	}
	if o.span, err = time.ParseDuration(span[1]); err != nil {
		return o, fmt.Errorf("h2load's time: %w", err)
	}
	var n [3]int
	for i, digits := range []string{counts[1], counts[2], data[1]} {
		if n[i], err = strconv.Atoi(digits); err != nil {
			return o, fmt.Errorf("h2load's counts: %w", err)
		}
	}
	o.requests = n[0]
	o.bad = n[0] - min(n[0], n[1], n[2]/size)
	if o.requests == 0 || o.span <= 0 {
		return o, errors.New("h2load got no answer")
	}
	return o, nil
}

// readTimes reads h2load's log: start in microseconds, status, microseconds it took, with tabs between.
func (o *outcome) readTimes(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var all []time.Duration
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		us, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		if len(fields) != 3 || err != nil {
			return fmt.Errorf("h2load's log: want start, status and time, got %q", line)
		}
		all = append(all, time.Duration(us)*time.Microsecond)
	}
	if len(all) == 0 {
		return errors.New("h2load's log is empty")
	}
	slices.Sort(all)
	o.p50, o.p99 = all[len(all)/2], all[len(all)*99/100]
	return nil
}

// check asks a server once and says what is wrong with its answer.
func check(ctx context.Context, protocol Protocol, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if protocol == GRPC {
		return checkGRPC(ctx, addr)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true} // nobody vouches for the certificate
	defer transport.CloseIdleConnections()
	body, err := get(ctx, &http.Client{Transport: transport}, protocol.url(addr))
	if err == nil && string(body) != echo.Body {
		err = fmt.Errorf("GET /hello: want %q, got %q", echo.Body, body)
	}
	return err
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return body, err
}

func checkGRPC(ctx context.Context, addr string) error {
	c, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer c.Close()
	out := new(wrapperspb.BytesValue)
	if err := c.Invoke(ctx, echo.Method, message, out); err != nil {
		return fmt.Errorf("call %s: %w", echo.Method, err)
	}
	if !proto.Equal(message, out) {
		return fmt.Errorf("call %s: want %v, got %v", echo.Method, message, out)
	}
	return nil
}
