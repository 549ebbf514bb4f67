package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// server answers the routes of lossd.
type server struct {
	config    config
	http      *http.Server
	grpc      *grpc.Server
	listeners []net.Listener
	// draining is closed when streams are told to end, moving when those of gRPC are. With -drain
	// readme both stay open: nothing in tableflip's README tells streams.
	draining, moving chan struct{}
	closing          atomic.Bool // answers carry Connection: close
	sockets          sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]time.Time // of HTTP, with the time since which one is idle; zero: busy
}

func newServer(c config) *server {
	s := &server{config: c, draining: make(chan struct{}), moving: make(chan struct{}), conns: map[net.Conn]time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /work", s.work)
	mux.HandleFunc("POST /work", s.work)
	mux.HandleFunc("GET /sse", s.events)
	mux.HandleFunc("GET /ws", s.socket)
	s.http = &http.Server{Handler: mux, Protocols: new(http.Protocols), ConnState: s.track}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	s.grpc = grpc.NewServer()
	s.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "loss.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			time.Sleep(handlerTime())
			return in, nil
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Bidi", ServerStreams: true, ClientStreams: true, Handler: s.bidi}},
	}, s)
	return s
}

// serve answers on the listeners; https may be nil. ended gets why a listener has died.
func (s *server) serve(plain, https, rpc net.Listener, ended chan<- error) {
	s.listeners = []net.Listener{plain, rpc}
	go func() { ended <- s.http.Serve(plain) }()
	go func() { ended <- s.grpc.Serve(rpc) }()
	if https != nil {
		s.listeners = append(s.listeners, https)
		go func() { ended <- s.http.ServeTLS(https, s.config.cert, s.config.key) }()
	}
}

// handlerTime is drawn as lossd does it: 2 % take 300 ms, half of the others up to 3 ms.
func handlerTime() time.Duration {
	switch p := rand.IntN(100); {
	case p < 2:
		return 300 * time.Millisecond
	case p < 51:
		return rand.N(3 * time.Millisecond)
	}
	return 0
}

func (s *server) work(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d := handlerTime()
	if text := r.URL.Query().Get("ms"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		d = time.Duration(ms) * time.Millisecond
	}
	time.Sleep(d)
	if s.closing.Load() {
		w.Header().Set("Connection", "close")
	}
	fmt.Fprintf(w, "%d %d\n", os.Getpid(), n)
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for id := 1; ; id++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %d\n\n", id, os.Getpid()); err != nil || flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.draining:
			_, _ = io.WriteString(w, "event: reconnect\ndata:\n\n")
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *server) socket(w http.ResponseWriter, r *http.Request) {
	s.sockets.Add(1)
	defer s.sockets.Done()
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-s.draining:
			_ = c.Close(websocket.StatusServiceRestart, "service restart")
		case <-ended:
		}
	}()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func (s *server) bidi(_ any, ss grpc.ServerStream) error {
	messages, ended := make(chan *wrapperspb.StringValue), make(chan error, 1)
	go func() {
		for {
			m := new(wrapperspb.StringValue)
			if err := ss.RecvMsg(m); err != nil {
				ended <- err
				return
			}
			select {
			case messages <- m:
			case <-ss.Context().Done():
				return
			}
		}
	}()
	moving := s.moving
	for {
		var out *wrapperspb.StringValue
		select {
		case out = <-messages:
		case <-moving:
			moving, out = nil, wrapperspb.String("__moving__")
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-ss.Context().Done():
			return ss.Context().Err()
		}
		if err := ss.SendMsg(out); err != nil {
			return err
		}
	}
}
