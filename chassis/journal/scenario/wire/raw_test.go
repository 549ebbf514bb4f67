package wire_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario/wire"
)

// An answer is what a server of HTTP/2 says byte by byte.
type answer struct {
	status  int // 0: 200
	header  map[string]string
	body    []byte
	trailer map[string]string
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/grpc")
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(max(a.status, 200))
	_, _ = w.Write(a.body)
	for name, value := range a.trailer {
		w.Header().Set(http.TrailerPrefix+name, value)
	}
}

// frame is a message in a frame of gRPC.
func frame(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(data))), data...)
}

// contract is how a service tells of itself.
func contract(t testing.TB) answer {
	t.Helper()
	file, err := proto.Marshal(protodesc.ToFileDescriptorProto(healthpb.File_grpc_health_v1_health_proto))
	if err != nil {
		t.Fatal(err)
	}
	return answer{body: frame(t, &reflectionpb.ServerReflectionResponse{
		MessageResponse: &reflectionpb.ServerReflectionResponse_FileDescriptorResponse{
			FileDescriptorResponse: &reflectionpb.FileDescriptorResponse{FileDescriptorProto: [][]byte{file}},
		},
	}), trailer: ok}
}

var ok = map[string]string{"Grpc-Status": "0"}

// server speaks HTTP/2 without TLS: it tells its contract and then says what answers has for the method.
func server(t testing.TB, answers map[string]answer) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answers[r.URL.Path].write(w)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

const told = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

func TestFramesThatAreNoneAreErrors(t *testing.T) {
	serving := frame(t, &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING})
	details, err := proto.Marshal(&spb.Status{Code: 5, Message: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		answer answer
		want   string // empty: no error
	}{
		{"a message", answer{body: serving, trailer: ok}, ""},
		{"a page of HTTP", answer{status: 404, body: []byte("not found")}, "HTTP status 404; want 200"},
		{"no status at all", answer{body: nil}, `grpc-status: want a number, got ""`},
		{"a status in the header", answer{header: map[string]string{"Grpc-Status": "5", "Grpc-Message": "no%20body"}}, "no body"},
		{"a message that is cut off", answer{body: serving[:6], trailer: ok}, "read a frame of 2 bytes"},
		{"half a head", answer{body: serving[:3], trailer: ok}, "unexpected EOF"},
		{"a compressed message", answer{body: append([]byte{1}, serving[1:]...), trailer: ok}, "a frame begins with 01"},
		{"an endless message", answer{body: []byte{0, 0xff, 0xff, 0xff, 0xff}, trailer: ok}, "at most 16777216 bytes"},
		{"bytes of no message", answer{body: []byte{0, 0, 0, 0, 1, 0xff}, trailer: ok}, "read an answer"},
		{"success without a message", answer{trailer: ok}, "the call ended without an answer"},
		{"words that are no words", answer{trailer: map[string]string{"Grpc-Status": "5", "Grpc-Message": "%zz"}}, "grpc-message: "},
		{"details", answer{trailer: map[string]string{"Grpc-Status": "5", "Grpc-Status-Details-Bin": base64.StdEncoding.EncodeToString(details)}}, "nobody"},
		{"details of another status", answer{trailer: map[string]string{"Grpc-Status": "6", "Grpc-Status-Details-Bin": base64.RawStdEncoding.EncodeToString(details)}},
			"says status 5 and grpc-status 6"},
		{"details that are none", answer{trailer: map[string]string{"Grpc-Status": "5", "Grpc-Status-Details-Bin": "*"}}, "grpc-status-details-bin: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := server(t, map[string]answer{told: contract(t), check: test.answer})
			raw, err := wire.RawGRPC(t.Context(), addr, service)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			_, err = wire.Call(t.Context(), raw, check, ask("a"))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("the error is %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestAContractThatIsNoneIsRefused(t *testing.T) {
	damaged := func(data []byte) answer {
		return answer{body: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(data))), data...), trailer: ok}
	}
	for _, test := range []struct {
		name   string
		answer answer
		want   string
	}{
		{"nothing", answer{trailer: ok}, "it answered nothing"},
		{"no file", damaged(nil), "it knows no such service"},
		{"a tag that is cut off", damaged([]byte{0xff}), "ask "},
		{"a field that is cut off", damaged([]byte{0x22, 0x05}), "ask "},
		{"a file that is none", damaged([]byte{0x22, 0x03, 0x0a, 0x01, 0xff}), "ask "},
		{"a file that needs others", damaged([]byte{0x22, 0x08, 0x0a, 0x06, 0x0a, 0x01, 'a', 0x1a, 0x01, 'b'}), "ask "},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := wire.RawGRPC(t.Context(), server(t, map[string]answer{told: test.answer}), service)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestAServerThatHangsUpIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	if _, err := wire.Call(t.Context(), wire.RawHTTP(l.Addr().String(), routes), check, ask("a")); err == nil {
		t.Error("a connection that was closed gave an answer")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := wire.Call(ctx, wire.RawHTTP(l.Addr().String(), routes), check, ask("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("a call whose context has ended ends with %v", err)
	}
}

// reflectRoutes has a method whose answers have a message in a field, as Server-Sent Events.
var reflectRoutes = wire.Routes{told: "GET /v1/told error_response", check: "GET /v1/check"}

func TestServerSentEventsAreAnswers(t *testing.T) {
	event := func(number int) string {
		return fmt.Sprintf("id: %d\nevent: e\ndata: {\"errorCode\": %d}\n\n", number, number)
	}
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string // the codes
		err    string
	}{
		{"two events", 200, "retry: 1000\n\n" + event(1) + event(2), "[1 2]", ""},
		{"comments, and events without an id", 200, ": still here\n\n" + event(1) + "event: moving\ndata: {}\n\n" + event(2), "[1 2]", ""},
		{"lines that end with CRLF", 200, strings.ReplaceAll(event(1), "\n", "\r\n"), "[1]", ""},
		{"data on several lines", 200, "id: 1\ndata: {\"errorCode\":\ndata:7}\n\n", "[7]", ""},
		{"an event that is cut off", 200, event(1) + "id: 2\ndata: {}\n", "[1]", ""},
		{"nothing more", 204, "", "[]", ""},
		{"no JSON", 200, "id: 1\ndata: hello\n\n", "[]", "read an event"},
		{"a line that is too long", 200, "data: " + strings.Repeat("x", 300<<10) + "\n", "[]", "an event has a line of more than 262144 bytes"},
		{"a problem", 404, `{"type": "about:blank", "status": 404, "set": "clinic", "code": 1001}`, "[]", "1001"},
	} {
		t.Run(test.name, func(t *testing.T) {
			kind := "text/event-stream"
			if test.status == 404 {
				kind = "application/problem+json"
			}
			s := answering(t, test.status, kind, test.body)
			for _, c := range []wire.Caller{wire.HTTP(s.Client(), s.URL, reflectRoutes), wire.RawHTTP(s.Listener.Addr().String(), reflectRoutes)} {
				answers, err := wire.Take(t.Context(), c, told, &reflectionpb.ServerReflectionRequest{Host: "a b"}, 9)
				codes := []int32{}
				for _, a := range answers {
					codes = append(codes, a.(*reflectionpb.ServerReflectionResponse).GetErrorResponse().GetErrorCode())
				}
				if fmt.Sprint(codes) != test.want || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("the answers are %v, %v; want %s and an error that says %q", codes, err, test.want, test.err)
				}
			}
		})
	}
	s := answering(t, 200, "text/event-stream", event(1))
	for _, field := range []string{"nothing", "valid_host"} {
		c := wire.HTTP(s.Client(), s.URL, wire.Routes{told: "GET /v1/told " + field})
		if _, err := wire.Call(t.Context(), c, told, &reflectionpb.ServerReflectionRequest{}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("no message called %q", field)) {
			t.Errorf("with field %s the error is %v", field, err)
		}
	}
}

func TestWhatIsNotInThePathIsInTheQueryOfAGet(t *testing.T) {
	asked := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RequestURI()
		_, _ = io.WriteString(w, "{}")
	}))
	defer s.Close()
	for name, want := range map[string]string{"a b&c": "/v1/check?service=a+b%26c", "": "/v1/check"} {
		if _, err := wire.Call(t.Context(), wire.HTTP(s.Client(), s.URL, reflectRoutes), check, ask(name)); err != nil {
			t.Error(err)
		}
		if got := <-asked; got != want {
			t.Errorf("for %q the target is %s, want %s", name, got, want)
		}
	}
	numbers := wire.Routes{told: "GET /v1/{file_containing_extension}"}
	request := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingExtension{
		FileContainingExtension: &reflectionpb.ExtensionRequest{ExtensionNumber: 7}}}
	if _, err := wire.Call(t.Context(), wire.HTTP(s.Client(), s.URL, numbers), told, request); err != nil {
		t.Error(err)
	}
	if got := <-asked; !strings.Contains(got, "extension_number") {
		t.Errorf("what is no text is left out of the path: %s", got)
	}
}

// What a service says is not trusted, neither its contract nor its frames.
func FuzzWhatAServiceSays(f *testing.F) {
	f.Add(contract(f).body, frame(f, &healthpb.HealthCheckResponse{Status: 1}), "0", "")
	f.Add(contract(f).body, []byte{0, 0, 0, 0, 1, 0xff}, "5", "CAUSBm5vYm9keQ")
	f.Add([]byte{0, 0, 0, 0, 2, 0x22, 0x05}, []byte(nil), "", "")
	f.Fuzz(func(t *testing.T, contract, body []byte, number, details string) {
		if strings.ContainsAny(number+details, "\x00\r\n") {
			t.Skip("no header has such a value")
		}
		answers := map[string]answer{
			told:  {body: contract, trailer: ok},
			check: {body: body, trailer: map[string]string{"Grpc-Status": number, "Grpc-Status-Details-Bin": details}},
		}
		rt := transport(func(r *http.Request) *http.Response {
			w := httptest.NewRecorder()
			answers[r.URL.Path].write(w)
			return w.Result()
		})
		raw, err := wire.RawOver(t.Context(), rt, service)
		if err != nil {
			return
		}
		answer, err := wire.Call(t.Context(), raw, check, ask("a"))
		if (answer == nil) == (err == nil) {
			t.Errorf("the answer is %v and the error %v", answer, err)
		}
	})
}

// Event streams come from services too.
func FuzzServerSentEvents(f *testing.F) {
	f.Add([]byte("id: 1\ndata: {\"errorCode\": 7}\n\n"))
	f.Add([]byte(": c\r\nid:\r\n\r\ndata: {}\nid: 2\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		client := &http.Client{Transport: transport(func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(body))}
		})}
		answers, err := wire.Take(t.Context(), wire.HTTP(client, "http://service", reflectRoutes), told, &reflectionpb.ServerReflectionRequest{}, 100)
		if err != nil && answers != nil {
			t.Errorf("the answers are %v and the error %v", answers, err)
		}
	})
}

type transport func(*http.Request) *http.Response

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r), nil }
