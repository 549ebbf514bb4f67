package target_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// daemonVariable has the test binary be the daemon instead.
const daemonVariable = "LOSSD_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(daemonVariable) != "" {
		chassis.Main(target.Spec)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, change func(*target.Config)) (*chassis.Instance, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	i, err := chassis.Start(ctx, target.Spec, func(s *chassis.Settings, c *target.Config) {
		s.Admin.Addr, s.AccessLog.Path = "off", "off"
		s.Drain.Timeout = 5 * time.Second
		c.HTTP.Addr, c.GRPC.Addr = "127.0.0.1:0", "127.0.0.1:0"
		change(c)
	}, chassis.World{Stderr: io.Discard})
	if err == nil {
		t.Cleanup(func() { _ = i.Stop(context.WithoutCancel(t.Context())) })
	}
	return i, err
}

func service(t *testing.T) *chassis.Instance {
	t.Helper()
	i, err := start(t, func(*target.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// ask returns the status and the body.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestWorkNamesTheProcessAndCountsTheBody(t *testing.T) {
	url := "http://" + service(t).Addr("http").String() + "/work"
	for _, c := range []struct{ method, body string }{{"GET", ""}, {"POST", "12345"}} {
		want := fmt.Sprintf("%d %d\n", os.Getpid(), len(c.body))
		if status, text := ask(t, c.method, url, c.body); status != 200 || text != want {
			t.Errorf("%s: %d %q, want %q", c.method, status, text, want)
		}
	}
	begin := time.Now()
	if status, _ := ask(t, "GET", url+"?ms=50", ""); status != 200 || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("status %d after %v, want 50 ms", status, time.Since(begin))
	}
	for _, ms := range []string{"x", "-1", "3600001"} {
		if status, _ := ask(t, "GET", url+"?ms="+ms, ""); status != 400 {
			t.Errorf("ms=%s: status %d, want 400", ms, status)
		}
	}
}

func TestTheMixOfTimesIsAsDescribed(t *testing.T) {
	// Each service draws the same times. What is slow in all is not slow by the machine.
	services := [...]string{service(t).Addr("http").String(), service(t).Addr("http").String(), service(t).Addr("http").String()}
	var slow int
	for range 150 {
		quickest := time.Hour
		for _, addr := range services {
			begin := time.Now()
			ask(t, "GET", "http://"+addr+"/work", "")
			quickest = min(quickest, time.Since(begin))
		}
		if quickest > 250*time.Millisecond {
			slow++
		}
	}
	// The seed is fixed: of the first 150 numbers, this many are below 2 in 100.
	if slow < 1 || slow > 10 {
		t.Errorf("%d of 150 requests took 300 ms, want about 3", slow)
	}
}

func TestEventsAreNumberedAndEndWithAWord(t *testing.T) {
	i := service(t)
	res, err := http.Get("http://" + i.Addr("http").String() + "/sse")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	var seen []string
	for len(seen) < 6 && lines.Scan() {
		seen = append(seen, lines.Text())
	}
	pid := fmt.Sprint(os.Getpid())
	if got, want := strings.Join(seen, "\n"), "id: 1\ndata: "+pid+"\n\nid: 2\ndata: "+pid+"\n"; got != want {
		t.Errorf("events:\n%s\nwant:\n%s", got, want)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- i.Stop(context.Background()) }()
	reconnect := false
	for lines.Scan() {
		reconnect = reconnect || lines.Text() == "event: reconnect"
	}
	if !reconnect || lines.Err() != nil {
		t.Errorf("told to reconnect: %t, then %v", reconnect, lines.Err())
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAWebsocketEchoesAndIsClosedWith1012(t *testing.T) {
	i := service(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+i.Addr("http").String()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if kind, text, err := c.Read(ctx); kind != websocket.MessageText || string(text) != "hello" || err != nil {
		t.Errorf("echo %v %q, %v", kind, text, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- i.Stop(context.Background()) }()
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("ended with %v, want status 1012", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if status, _ := ask(t, "GET", "http://"+service(t).Addr("http").String()+"/ws", ""); status != 426 {
		t.Errorf("no websocket: status %d, want 426", status)
	}
}

func dial(t *testing.T, i *chassis.Instance) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+i.Addr("grpc").String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func TestUnaryEchoes(t *testing.T) {
	cc := dial(t, service(t))
	for range 50 {
		out := new(wrapperspb.StringValue)
		if err := cc.Invoke(t.Context(), target.Unary, wrapperspb.String("hello"), out); err != nil || out.Value != "hello" {
			t.Fatalf("%q, %v", out.Value, err)
		}
	}
}

func TestAStreamIsToldToMoveAndLosesNoMessage(t *testing.T) {
	i := service(t)
	ss, err := dial(t, i).NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, target.Bidi)
	if err != nil {
		t.Fatal(err)
	}
	send := func(text string) {
		t.Helper()
		if err := ss.SendMsg(wrapperspb.String(text)); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() (string, error) {
		m := new(wrapperspb.StringValue)
		err := ss.RecvMsg(m)
		return m.Value, err
	}
	send("1")
	if got, err := receive(); got != "1" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- i.Stop(context.Background()) }()
	if got, err := receive(); got != target.Moving || err != nil {
		t.Fatalf("%q, %v, want %q", got, err, target.Moving)
	}
	send("2")
	send("3")
	if err := ss.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2", "3"} {
		if got, err := receive(); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	if _, err := receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestFaultsInSetupKeepItFromStarting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fault")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, fault, file, want string
	}{
		{"a panic", "panic", "", "fault: panic in Setup"},
		{"an error", "error", "", "fault: Setup fails"},
		{"an error from the file", "", "error\n", "fault: Setup fails"},
		{"the file wins", "panic", "error", "fault: Setup fails"},
		{"an unknown fault", "flood", "", `want one of panic, crash, error, hang, die, deaf, or none, got "flood"`},
		{"an unknown fault in the file", "", "flood", `got "flood"`},
	} {
		write(c.file)
		_, err := start(t, func(cfg *target.Config) { cfg.Fault, cfg.FaultFile = c.fault, file })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	write("")
	for _, name := range []string{file, file + ".absent"} {
		if _, err := start(t, func(cfg *target.Config) { cfg.FaultFile = name }); err != nil {
			t.Errorf("no fault in %s: %v", name, err)
		}
	}
	if _, err := start(t, func(cfg *target.Config) { cfg.FaultFile = filepath.Dir(file) }); err == nil || !strings.Contains(err.Error(), "read fault_file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestAServiceThatHangsIsNeverReady(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := chassis.Start(ctx, target.Spec, func(s *chassis.Settings, c *target.Config) {
		s.Admin.Addr, s.AccessLog.Path, c.Fault = "off", "off", "hang"
	}, chassis.World{Stderr: io.Discard})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start: %v", err)
	}
}

func TestADeafHandlerGoesOnWithoutItsCaller(t *testing.T) {
	i, err := start(t, func(c *target.Config) { c.Fault = "deaf" })
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + i.Addr("http").String() + "/deaf"
	if status, _ := ask(t, "GET", url+"?ms=x", ""); status != 400 {
		t.Errorf("status %d, want 400", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", url+"?ms=400", nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = res.Body.Close()
	if err := i.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("the service ended after %v, before the handler", took)
	}
	if status, _ := ask(t, "GET", "http://"+service(t).Addr("http").String()+"/deaf", ""); status != 404 {
		t.Errorf("without the fault: status %d, want 404", status)
	}
}

func TestAServiceThatDiesExitsWith1(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "-inprocess", "-fault=die", "-http.addr=127.0.0.1:0", "-grpc.addr=127.0.0.1:0", "-access_log.path=off")
	c.Env = append(os.Environ(), daemonVariable+"=1")
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "ready") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestAServiceThatCrashesSaysSo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "-inprocess", "-fault=crash", "-http.addr=127.0.0.1:0", "-grpc.addr=127.0.0.1:0", "-access_log.path=off")
	c.Env = append(os.Environ(), daemonVariable+"=1")
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "panic: fault: panic beside Setup") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestTheLeaseIsWrittenToWhileItIsHeld(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lease")
	lines := func() []string {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	i, err := start(t, func(c *target.Config) { c.LeaseFile = file })
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); len(lines()) < 5; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("lines %q", lines())
		}
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	pid, all := fmt.Sprint(os.Getpid()), lines()
	for n, line := range all {
		want := pid + " held"
		switch n {
		case 0:
			want = pid + " open"
		case len(all) - 1:
			want = pid + " close"
		}
		if line != want {
			t.Errorf("line %d is %q, want %q", n+1, line, want)
		}
	}
	i, err = start(t, func(c *target.Config) { c.LeaseFile = filepath.Dir(file) })
	if err != nil {
		t.Fatal(err)
	}
	<-i.Done()
	if err := i.Err(); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a folder: %v", err)
	}
}

func TestAChildShowsWhatItHasInherited(t *testing.T) {
	t.Setenv("LISTEN_FDS_TEST", "1")
	url := "http://" + service(t).Addr("http").String() + "/child"
	status, text := ask(t, "GET", url, "")
	if status != 200 || !strings.Contains(text, "LISTEN_FDS_TEST=1\n") || strings.Contains(text, "/lossd.leak") {
		t.Errorf("%d %q", status, text)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "lossd.leak"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd())) // which children inherit
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if status, text := ask(t, "GET", url, ""); status != 200 || !strings.Contains(text, fmt.Sprintf("%d %s\n", fd, f.Name())) {
		t.Errorf("%d %q, want descriptor %d", status, text, fd)
	}
	t.Setenv("PATH", "")
	if status, _ := ask(t, "GET", url, ""); status != 500 {
		t.Errorf("without a program to start: status %d, want 500", status)
	}
}

func TestAnOrphanIsLeftBehind(t *testing.T) {
	begin := time.Now()
	if status, _ := ask(t, "GET", "http://"+service(t).Addr("http").String()+"/orphan", ""); status != 200 {
		t.Errorf("status %d", status)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("answered after %v", took)
	}
}

func TestACheckSuffersNoFault(t *testing.T) {
	var out strings.Builder
	if code := chassis.Run(t.Context(), target.Spec, []string{"-check", "-fault=panic"}, nil, &out, &out); code != 0 {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

func TestHTTPSIsThereWithACertificate(t *testing.T) {
	if a := service(t).Addr("https"); a != nil {
		t.Errorf("https at %v without a certificate", a)
	}
	_, err := start(t, func(c *target.Config) { c.HTTPS.TLS = chassis.TLSConfig{Cert: "absent.pem", Key: "absent.key"} })
	if err == nil || !strings.Contains(err.Error(), "absent.pem") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

func ExampleConfig() {
	i, err := chassis.Start(context.Background(), target.Spec, func(s *chassis.Settings, c *target.Config) {
		s.Admin.Addr, s.AccessLog.Path, s.Log.Level = "off", "off", "error"
		c.HTTP.Addr, c.GRPC.Addr = "127.0.0.1:0", "127.0.0.1:0"
	}, chassis.World{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer i.Stop(context.Background())
	res, err := http.Post("http://"+i.Addr("http").String()+"/work?ms=0", "text/plain", strings.NewReader("hello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	var pid, n int
	_, err = fmt.Fscan(res.Body, &pid, &n)
	fmt.Println(pid == os.Getpid(), n, err)
	// Output: true 5 <nil>
}
