package accesslog

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Longest fields in bytes before escaping, truncation mark included. httpd itself takes
// request lines up to 8190 bytes (LimitRequestLine); half of that keeps every URI worth
// reading and halves what a flood of long ones costs.
const (
	maxName    = 256 // users, hosts, routes, ids
	maxMethod  = 32
	maxURI     = 4096
	maxProto   = 16
	maxReferer = 2048
	maxHeader  = 1024

	maxAddr   = 45 // 39 for IPv6; IPv4 mapped into it is shown as IPv4
	maxNumber = 20
)

// directives are those that need nothing but their letter and argument.
var directives = map[string]item{
	"h":          address(func(r *Record) netip.Addr { return r.Client }, func(r *Record, a netip.Addr) { r.Client = a }),
	"a":          address(func(r *Record) netip.Addr { return r.Client }, func(r *Record, a netip.Addr) { r.Client = a }),
	"hc":         address(func(r *Record) netip.Addr { return r.Peer.Addr() }, func(r *Record, a netip.Addr) { r.Peer = netip.AddrPortFrom(a, r.Peer.Port()) }),
	"ac":         address(func(r *Record) netip.Addr { return r.Peer.Addr() }, func(r *Record, a netip.Addr) { r.Peer = netip.AddrPortFrom(a, r.Peer.Port()) }),
	"A":          address(func(r *Record) netip.Addr { return r.Local.Addr() }, func(r *Record, a netip.Addr) { r.Local = netip.AddrPortFrom(a, r.Local.Port()) }),
	"p":          localPort,
	"pcanonical": localPort,
	"plocal":     localPort,
	"premote": count(16, func(r *Record) int64 { return int64(r.Peer.Port()) }, func(p *parser, n int64) {
		p.record.Peer = netip.AddrPortFrom(p.record.Peer.Addr(), uint16(n))
	}),
	"v": text(maxName, func(r *Record) string { return r.Server }, func(r *Record, s string) { r.Server = s }),
	"V": {append: appendHost, most: 4 * maxName, read: reads(func(r *Record, s string) {
		if strings.ContainsAny(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			r.Server = s // a host is shown in lower case
			return
		}
		if r.Host = s; strings.IndexByte(s, ':') >= 0 {
			r.Host = "[" + s + "]"
		}
	})},
	"l": {append: func(dst []byte, _ *Record) []byte { return append(dst, '-') }, most: 1, read: reads(func(*Record, string) {})},
	"u": {append: appendUser, most: 4 * maxName, read: reads(func(r *Record, s string) { r.User = s })},

	"r": {append: appendRequest, most: 4*(maxMethod+maxURI+maxProto) + 2 + len(hiddenPassword), read: func(p *parser, s string) error {
		p.hasLine = true
		splitRequest(&p.record, s)
		return nil
	}},
	"m": {append: func(dst []byte, r *Record) []byte { return appendField(dst, r.Method, maxMethod) }, most: 4 * maxMethod, read: unlessLine(func(p *parser, s string) { p.record.Method = s })},
	"U": {append: appendPath, most: 4 * maxURI, read: unlessLine(func(p *parser, s string) { p.path = s })},
	"q": {append: appendQuery, most: 4 * maxURI, read: unlessLine(func(p *parser, s string) { p.query = s })},
	"H": {append: func(dst []byte, r *Record) []byte { return appendField(dst, r.Proto, maxProto) }, most: 4 * maxProto, read: unlessLine(func(p *parser, s string) { p.record.Proto = s })},

	"s": count(31, func(r *Record) int64 { return int64(r.Status) }, func(p *parser, n int64) { p.record.Status = int(n) }),
	"X": {append: appendConn, most: 1, match: matchConn, want: "X, + or -", read: reads(func(r *Record, s string) {
		r.Conn = ConnKept
		if s == "X" {
			r.Conn = ConnAborted
		}
	})},
	"k": reused,
	"b": count(63, func(r *Record) int64 { return r.Bytes }, func(p *parser, n int64) { p.record.Bytes = n }),
	"B": number(63, func(r *Record) int64 { return r.Bytes }, func(p *parser, n int64) { p.record.Bytes = n }),
	"I": count(63, func(r *Record) int64 { return r.BytesIn }, func(p *parser, n int64) { p.record.BytesIn = n }),
	"O": count(63, func(r *Record) int64 { return r.BytesOut }, func(p *parser, n int64) { p.record.BytesOut = n }),
	"S": count(63, func(r *Record) int64 { return max(r.BytesIn, 0) + max(r.BytesOut, 0) }, func(*parser, int64) {}),

	"D":   duration(time.Microsecond),
	"T":   duration(time.Second),
	"Ts":  duration(time.Second),
	"Tms": duration(time.Millisecond),
	"Tus": duration(time.Microsecond),

	"f":    text(maxName, func(r *Record) string { return r.Route }, func(r *Record, s string) { r.Route = s }),
	"L":    text(maxName, func(r *Record) string { return r.RequestID }, func(r *Record, s string) { r.RequestID = s }),
	"P":    process,
	"Ppid": process,

	"xroute":         text(maxName, func(r *Record) string { return r.Route }, func(r *Record, s string) { r.Route = s }),
	"xrequest_id":    text(maxName, func(r *Record) string { return r.RequestID }, func(r *Record, s string) { r.RequestID = s }),
	"xtrace_id":      {append: appendTrace, most: 32, read: readTrace},
	"xgrpc_status":   text(maxName, func(r *Record) string { return r.GRPCStatus }, func(r *Record, s string) { r.GRPCStatus = s }),
	"xlistener":      text(maxName, func(r *Record) string { return r.Listener }, func(r *Record, s string) { r.Listener = s }),
	"xfailure":       count(31, func(r *Record) int64 { return int64(r.FailureCode) }, func(p *parser, n int64) { p.record.FailureCode = int(n) }),
	"xerror_id":      text(maxName, func(r *Record) string { return r.ErrorID }, func(r *Record, s string) { r.ErrorID = s }),
	"xqueue_wait_us": number(53, func(r *Record) int64 { return r.QueueWait.Microseconds() }, func(p *parser, n int64) { p.record.QueueWait = time.Duration(n) * time.Microsecond }),
}

var localPort = count(16, func(r *Record) int64 { return int64(r.Local.Port()) }, func(p *parser, n int64) {
	p.record.Local = netip.AddrPortFrom(p.record.Local.Addr(), uint16(n))
})

// reused shows a number, 0 among them, and - for those below.
var reused = func() item {
	it := number(31, func(r *Record) int64 { return int64(r.Reused) }, func(p *parser, n int64) { p.record.Reused = int(n) })
	show := it.append
	it.append = func(dst []byte, r *Record) []byte {
		if r.Reused < 0 {
			return append(dst, '-')
		}
		return show(dst, r)
	}
	return it
}()

// process is the id of the process that writes.
var process = count(31, func(*Record) int64 { return int64(os.Getpid()) }, func(*parser, int64) {})

// advise says what to write instead of a directive that there is not.
func advise(letter byte) string {
	switch letter {
	case 'e':
		return "services have no environment per request; want %{route}x or %{Name}i"
	case 'n':
		return "services have no notes; want %{route}x, %{failure}x, %{error_id}x or %{request_id}x"
	case 'R':
		return "what handles a request is its route; want %{route}x"
	case '^':
		return "trailers are not logged; want %{Name}i or %{Name}o"
	case 'P':
		return "want %P or %{pid}P; goroutines have no thread of their own"
	case 'p':
		return "want %p, %{canonical}p, %{local}p or %{remote}p"
	case 'T':
		return "want %T, %{s}T, %{ms}T or %{us}T"
	case 'x':
		return "want route, failure, error_id, request_id, trace_id, grpc_status, queue_wait_us or listener in the braces"
	case 'h', 'a':
		return fmt.Sprintf("want %%%c or %%{c}%c", letter, letter)
	}
	if _, ok := directives[string(letter)]; ok {
		return fmt.Sprintf("want %%%c, which takes no argument", letter)
	}
	return "want one of %h %a %A %p %v %V %l %u %t %D %T %r %m %U %q %H %s %X %k %b %B %I %O %S %f %L %P %i %o %C %x, or %% for a percent sign"
}

// reads makes of a setter what notes a text.
func reads(set func(r *Record, s string)) func(*parser, string) error {
	return func(p *parser, s string) error {
		set(&p.record, s)
		return nil
	}
}

// unlessLine is for parts of the request line, which tells more than they do.
func unlessLine(set func(p *parser, s string)) func(*parser, string) error {
	return func(p *parser, s string) error {
		if !p.hasLine {
			set(p, s)
		}
		return nil
	}
}

func text(most int, get func(*Record) string, set func(*Record, string)) item {
	return item{append: func(dst []byte, r *Record) []byte { return appendField(dst, get(r), most) }, most: 4 * most, read: reads(set)}
}

func address(get func(*Record) netip.Addr, set func(*Record, netip.Addr)) item {
	return item{
		append: func(dst []byte, r *Record) []byte { return appendAddr(dst, get(r)) }, most: maxAddr,
		match: matchAddr, want: "an IP address or -",
		read: func(p *parser, s string) error {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return fmt.Errorf("%q is no IP address", s)
			}
			set(&p.record, a)
			return nil
		},
	}
}

// appendAddr writes an address as httpd does: mapped ones as IPv4, none with a zone.
func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, '-')
	}
	a = a.Unmap()
	if a.Is6() {
		a = a.WithZone("")
	}
	return a.AppendTo(dst)
}

// count shows a number above zero, and - for others.
func count(bits int, get func(*Record) int64, set func(*parser, int64)) item {
	it := number(bits, get, set)
	it.append = func(dst []byte, r *Record) []byte { return appendCount(dst, get(r)) }
	return it
}

func appendCount(dst []byte, n int64) []byte {
	if n <= 0 {
		return append(dst, '-')
	}
	return strconv.AppendInt(dst, n, 10)
}

// number shows a number, and 0 for those below.
func number(bits int, get func(*Record) int64, set func(*parser, int64)) item {
	return item{
		append: func(dst []byte, r *Record) []byte { return strconv.AppendInt(dst, max(get(r), 0), 10) }, most: maxNumber,
		match: matchCount, want: "a count or -",
		read: func(p *parser, s string) error {
			n, err := strconv.ParseUint(s, 10, bits)
			if err != nil {
				return fmt.Errorf("%s is more than the %d that it could be", s, uint64(1)<<bits-1)
			}
			set(p, int64(n))
			return nil
		},
	}
}

// duration shows whole units, as httpd does. Of several that a line holds, the finest is read back.
func duration(unit time.Duration) item {
	return number(63, func(r *Record) int64 { return int64(r.Duration / unit) }, func(p *parser, n int64) {
		if p.unit == 0 || unit < p.unit {
			p.unit, p.record.Duration = unit, time.Duration(n)*unit
		}
	})
}

// timeTokens are the times that httpd has beyond strftime.
var timeTokens = map[string]struct {
	write func(dst []byte, t time.Time) []byte
	read  func(p *parser, text string) error
}{
	"sec":       {func(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.Unix(), 10) }, unix(func(n int64) time.Time { return time.Unix(n, 0) })},
	"msec":      {func(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.UnixMilli(), 10) }, unix(time.UnixMilli)},
	"usec":      {func(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.UnixMicro(), 10) }, unix(time.UnixMicro)},
	"msec_frac": {func(dst []byte, t time.Time) []byte { return appendPadded(dst, t.Nanosecond()/1e6, 3) }, fraction(time.Millisecond)},
	"usec_frac": {func(dst []byte, t time.Time) []byte { return appendPadded(dst, t.Nanosecond()/1e3, 6) }, fraction(time.Microsecond)},
}

// appendPadded writes n with at least so many digits.
func appendPadded(dst []byte, n, digits int) []byte {
	for least := 10; digits > 1; digits-- {
		if n < least {
			dst = append(dst, '0')
		}
		least *= 10
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

func appendUser(dst []byte, r *Record) []byte {
	if r.User == "" && r.EmptyUser {
		return append(dst, `""`...)
	}
	return appendField(dst, r.User, maxName)
}

func appendTrace(dst []byte, r *Record) []byte {
	if r.TraceID == [16]byte{} {
		return append(dst, '-')
	}
	return hex.AppendEncode(dst, r.TraceID[:])
}

func readTrace(p *parser, s string) error {
	id, err := hex.DecodeString(s)
	if err != nil || copy(p.record.TraceID[:], id) != len(id) || len(id) != len(p.record.TraceID) {
		return fmt.Errorf("%q is no trace id of 32 hexadecimal digits", s)
	}
	return nil
}

func appendConn(dst []byte, r *Record) []byte {
	switch r.Conn {
	case ConnKept:
		return append(dst, '+')
	case ConnAborted:
		return append(dst, 'X')
	}
	return append(dst, '-')
}

// appendHost writes what the client called the server as httpd keeps it: without port, brackets and
// the dot at its end, in lower case.
func appendHost(dst []byte, r *Record) []byte {
	host := r.Host
	if end := strings.IndexByte(host, ']'); end > 0 && host[0] == '[' {
		host = host[1:end]
	} else {
		host, _, _ = strings.Cut(host, ":")
		host = strings.TrimRight(host, ".")
	}
	if host == "" {
		return appendField(dst, r.Server, maxName)
	}
	start := len(dst)
	dst = appendField(dst, host, maxName)
	for i, c := range dst[start:] { // escapes have no upper case
		if 'A' <= c && c <= 'Z' {
			dst[start+i] = c | 0x20
		}
	}
	return dst
}
