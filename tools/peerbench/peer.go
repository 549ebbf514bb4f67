package peerbench

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
)

// A Protocol is what the load speaks.
type Protocol string

// The protocols.
const (
	HTTP1 Protocol = "http1" // HTTP/1.1 in plain text
	H2    Protocol = "h2"    // HTTP/2 with TLS
	GRPC  Protocol = "grpc"  // unary calls in plain text
)

// Protocols are all of them, in the order in which they are measured.
func Protocols() []Protocol { return []Protocol{HTTP1, H2, GRPC} }

// A Place is where a server is to serve.
type Place struct {
	Addr      string // host:port
	Debug     string // host:port for /debug/vars
	Dir       string // for the files that it writes
	Cert, Key string // PEM files; empty without TLS
}

// A Peer is a server that is measured.
type Peer struct {
	Name string
	// Base names the peer that this one is compared with; empty is the first of all.
	Base string
	// Command is what is executed, and Config, where it is set, returns the text of the file "config" in
	// the place's directory. The command must stay one process.
	Command func(Place) []string
	Config  func(Place) string
	// Silent peers do not tell what they allocate.
	Silent bool
}

// Bare is the name of the peer that all others are compared with unless they say otherwise.
const Bare = "bare"

// Peers are the servers that speak a protocol, [Bare] first. bin is the directory of their programs. With
// features there is a line for each feature of the chassis that can be switched: alone, on a chain where all
// others are off.
func Peers(bin string, protocol Protocol, features bool) []Peer {
	var peers []Peer
	switch protocol {
	case HTTP1:
		peers = []Peer{
			classic(bin, Bare, "core", "http"),
			seldom(classic(bin, Bare+floor, "core", "http")),
			like(Bare+floor, own(bin, protocol, "ours")),
			own(bin, protocol, "ours, no heap floor", "-heap_floor=4MiB"),
			like(Bare+floor, own(bin, protocol, "ours, no access log", "-access_log.path=off")),
			like("ours", own(bin, protocol, "ours, flight recorder", "-admin.addr=127.0.0.1:0", "-admin.flight_recorder")),
			like("ours", own(bin, protocol, "ours, %I %O in the log", "-access_log.format=%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %I %O")),
			classic(bin, "naive", "naived", "http"),
			classic(bin, "naive, no access log", "naived", "nolog"),
			classic(bin, "chi+sentry+otel", "core", "chi"),
			classic(bin, "kratos", "kratos", "http"),
			classic(bin, "go-zero", "gozero", "http"),
			classic(bin, "dskit", "dskit", "http"),
			classic(bin, "dskit, no access log", "dskit", "http-nolog"),
			nginx("nginx", "combined"),
			nginx("nginx, buffered log", "combined buffer=64k flush=200ms"),
		}
	case H2:
		peers = []Peer{
			classic(bin, Bare, "core", "http"),
			seldom(classic(bin, Bare+floor, "core", "http")),
			like(Bare+floor, own(bin, protocol, "ours")),
			classic(bin, "naive", "naived", "http"),
			classic(bin, "chi+sentry+otel", "core", "chi"),
			nginx("nginx", "combined"),
		}
	case GRPC:
		const workers = "bare, workers"
		peers = []Peer{
			classic(bin, Bare, "core", "grpc"),
			classic(bin, "bare, 1 worker", "core", "grpc-workers"),
			classic(bin, workers, "core", "grpc-workers-32"),
			seldom(classic(bin, workers+floor, "core", "grpc-workers-32")),
			like(workers+floor, own(bin, protocol, "ours")),
			like(workers+floor, own(bin, protocol, "ours, ids with failures only", "-grpc.id_on_failure")),
			like(workers, own(bin, protocol, "ours, no heap floor", "-heap_floor=4MiB")),
			like(Bare, own(bin, protocol, "ours, no workers, no heap floor", "-grpc.workers=-1", "-heap_floor=4MiB")),
			classic(bin, "middleware", "core", "grpc-mw"),
			classic(bin, "middleware, 2 lines", "core", "grpc-mw-both"),
			classic(bin, "middleware, no log", "core", "grpc-mw-nolog"),
			classic(bin, "kratos", "kratos", "grpc"),
			classic(bin, "go-zero", "gozero", "grpc"),
			classic(bin, "dskit", "dskit", "grpc"),
			classic(bin, "dskit, no log", "dskit", "grpc-nolog"),
		}
	}
	if features {
		peers = append(peers, ownFeatures(bin, protocol)...)
	}
	return peers
}

// A feature is a part of the chassis that costs something on the way of a request.
type feature struct{ name, off, on string }

// featuresOf are those that can be switched, by flags of the chassis. With all of them off, what is left is
// what every request gets: its id, its metrics, recovery, the bounds.
func featuresOf(protocol Protocol) []feature {
	list := []feature{{"access log", "-access_log.path=off", ""}}
	if protocol == GRPC {
		return append(list,
			feature{"deadline", "-grpc.timeout=-1s", ""},
			feature{"workers", "-grpc.workers=-1", ""},
			feature{"id with every answer", "-grpc.id_on_failure", ""},
			feature{"access rules", "", "-grpc.acl.allow=127.0.0.0/8,10.0.0.0/8"},
		)
	}
	return append(list,
		feature{"admission", "-http.admission.workers=-1", ""},
		feature{"id, trace and deadline in the context", "-http.bare_context", ""},
		feature{"access rules", "", "-http.acl.allow=127.0.0.0/8,10.0.0.0/8"},
		feature{"compression", "", "-http.compress"},
		feature{"CORS", "", "-http.cors_origins=https://example.com"},
		feature{"HTTP/2 without TLS", "", "-http.h2c"},
	)
}

func ownFeatures(bin string, protocol Protocol) []Peer {
	const none = "ours, all off"
	features := featuresOf(protocol)
	// flags switches one feature on and the others off; -1 is none.
	flags := func(on int) []string {
		var list []string
		for i, f := range features {
			flag := f.off
			if i == on {
				flag = f.on
			}
			if flag != "" {
				list = append(list, flag)
			}
		}
		return list
	}
	peers := []Peer{own(bin, protocol, none, flags(-1)...)}
	for i, f := range features {
		p := own(bin, protocol, "+ "+f.name, flags(i)...)
		p.Base = none
		peers = append(peers, p)
	}
	return peers
}

// Select keeps the peers that are named, with the bases they are compared with; no name keeps all.
func Select(peers []Peer, names []string) ([]Peer, error) {
	if len(names) == 0 {
		return peers, nil
	}
	wanted := map[string]bool{Bare: true}
	for _, name := range names {
		i := slices.IndexFunc(peers, func(p Peer) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no peer %q: want one of %s", name, strings.Join(Names(peers), "; "))
		}
		wanted[name] = true
		if peers[i].Base != "" {
			wanted[peers[i].Base] = true
		}
	}
	var kept []Peer
	for _, p := range peers {
		if wanted[p.Name] {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

// Names are the names of peers.
func Names(peers []Peer) []string {
	var names []string
	for _, p := range peers {
		names = append(names, p.Name)
	}
	return names
}

// logName is the access log in a place's directory.
const logName = "access.log"

// classic is a program that has the flags of package echo.
func classic(bin, name, program, mode string) Peer {
	return Peer{Name: name, Command: func(p Place) []string {
		args := []string{filepath.Join(bin, program), "-mode=" + mode, "-addr=" + p.Addr, "-debug=" + p.Debug, "-log=" + filepath.Join(p.Dir, logName)}
		if p.Cert != "" {
			args = append(args, "-cert="+p.Cert, "-key="+p.Key)
		}
		return args
	}}
}

// floor is added to the name of a peer whose heap may grow to 16 MiB before garbage is collected, as that of
// the chassis does.
const floor = ", heap floor"

// seldom has Go's runtime give p that floor.
func seldom(p Peer) Peer {
	command := p.Command
	p.Command = func(at Place) []string { return append([]string{"env", "GOGC=400"}, command(at)...) }
	return p
}

// like has p compared with another peer than the first.
func like(base string, p Peer) Peer {
	p.Base = base
	return p
}

// own is peerd. The listener that is not asked has any port that is free.
func own(bin string, protocol Protocol, name string, flags ...string) Peer {
	return Peer{Name: name, Command: func(p Place) []string {
		args := []string{filepath.Join(bin, "peerd"), "-inprocess", "-admin.addr=off", "-debug.addr=" + p.Debug, "-access_log.path=" + filepath.Join(p.Dir, logName)}
		http, grpc := p.Addr, "127.0.0.1:0"
		if protocol == GRPC {
			http, grpc = grpc, http
		}
		args = append(args, "-http.addr="+http, "-grpc.addr="+grpc)
		if p.Cert != "" {
			args = append(args, "-http.tls.cert="+p.Cert, "-http.tls.key="+p.Key)
		}
		return append(args, flags...)
	}}
}

// nginx answers from its configuration, with an access log in the given format and buffering.
func nginx(name, format string) Peer {
	return Peer{
		Name: name, Silent: true,
		Command: func(p Place) []string {
			return []string{"nginx", "-c", filepath.Join(p.Dir, "config"), "-e", filepath.Join(p.Dir, "error.log")}
		},
		Config: func(p Place) string { return nginxConfig(p, format) },
	}
}

func nginxConfig(p Place, format string) string {
	listen, tls := p.Addr, ""
	if p.Cert != "" {
		listen += " ssl http2"
		tls = fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", p.Cert, p.Key)
	}
	return fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
	access_log %[1]s/`+logName+` %[2]s;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 1000000000; # a connection is for the whole run
	server {
		listen %[3]s;
		%[4]s
		location = /hello {
			default_type application/json;
			return 200 '%[5]s';
		}
	}
}
`, p.Dir, format, listen, tls, echo.Body)
}
