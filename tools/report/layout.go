package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

// A kind is what a field tells of a request.
type kind byte

const (
	kindOther   kind = iota // what no report shows
	kindClient              // an address or a host name
	kindTime                // when the request began
	kindLine                // method, target and protocol
	kindMethod              // GET
	kindTarget              // path with query
	kindStatus              // of the answer
	kindBytes               // of the body
	kindSent                // bytes on the network
	kindTaken               // how long it took
	kindRoute               // the pattern that matched
	kindRequest             // id of the request
	kindError               // id of the error
	kindFailure             // number of the failure code
	kindGRPC                // number of the gRPC status
	kinds
)

// A Layout says what stands where in the lines of a log. Make one with [NewLayout]. It is safe for
// concurrent use.
type Layout struct {
	fields []field
	tail   string
	has    [kinds]bool
}

// A field is one directive or variable of a format.
type field struct {
	text string // in front of it
	name string // as the format has it
	kind kind

	closing string // what it ends at, "" for the end of the line
	inner   string // of a time: what it looks like
	skip    int    // how often closing stands in the field itself

	unit  time.Duration                        // of kindTaken, and how exact a kindTime is
	clock func(text string) (time.Time, error) // of kindTime
	final bool                                 // of the status: that of the last redirect
}

// NewLayout reads a LogFormat of the Apache HTTP Server, one of its nicknames common, combined and
// vhost_combined, or a log_format of nginx, which is known by its variables ($remote_addr). Directives and
// variables that no report shows may be any. Where a line tells the same twice, the more exact counts. Errors
// name the column.
func NewLayout(format string) (*Layout, error) {
	l := &Layout{}
	var err error
	if format == "nginx" {
		format = nginxCombined
	}
	if strings.Contains(format, "$") && !strings.Contains(format, "%") {
		err = l.nginx(format)
	} else {
		err = l.httpd(format)
	}
	if err != nil {
		return nil, err
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	l.choose()
	if !l.has[kindStatus] && !l.has[kindLine] && !l.has[kindTarget] && !l.has[kindRoute] {
		return nil, fmt.Errorf("log format: neither status nor request is in %q: want a LogFormat of httpd, such as combined, or a log_format of nginx", format)
	}
	return l, nil
}

// Timed reports whether lines tell how long requests took.
func (l *Layout) Timed() bool { return l.has[kindTaken] }

// Dated reports whether lines tell when requests began.
func (l *Layout) Dated() bool { return l.has[kindTime] }

func (l *Layout) httpd(format string) error {
	directives, tail, err := accesslog.Split(format)
	if err != nil {
		return err
	}
	for i, d := range directives {
		if d.Name == "%q" && d.Text == "" && i > 0 && directives[i-1].Name == "%U" {
			continue // the two together are what the client asked for
		}
		f := field{text: d.Text, name: d.Name}
		if err := f.directive(d); err != nil {
			return fmt.Errorf("log format: column %d: %s: %w", d.Column, d.Name, err)
		}
		l.fields = append(l.fields, f)
	}
	l.tail = tail
	return nil
}

// directive says what one of httpd tells.
func (f *field) directive(d accesslog.Directive) error {
	arg := strings.ToLower(d.Arg)
	switch d.Letter {
	case 'h', 'a':
		if arg == "" {
			f.kind = kindClient
		}
	case 't':
		return f.time(d.Arg)
	case 'r':
		f.kind = kindLine
	case 'm':
		f.kind = kindMethod
	case 'U':
		f.kind = kindTarget
	case 's':
		f.kind, f.final = kindStatus, strings.Contains(d.Name, ">")
	case 'b', 'B':
		f.kind = kindBytes
	case 'O':
		f.kind = kindSent
	case 'D':
		f.kind, f.unit = kindTaken, time.Microsecond
	case 'T':
		units := map[string]time.Duration{"": time.Second, "s": time.Second, "ms": time.Millisecond, "us": time.Microsecond}
		if f.unit = units[arg]; f.unit == 0 {
			return fmt.Errorf("%q is no unit: want s, ms or us", d.Arg)
		}
		f.kind = kindTaken
	case 'L':
		f.kind = kindRequest
	case 'i', 'o', 'e', 'n':
		if arg == "x-request-id" || arg == "unique_id" {
			f.kind = kindRequest
		}
	case 'x':
		f.kind = map[string]kind{"route": kindRoute, "request_id": kindRequest, "error_id": kindError, "failure": kindFailure, "grpc_status": kindGRPC}[arg]
	}
	return nil
}

// time says how a %t is read: by what writes such times in services.
func (f *field) time(arg string) error {
	f.inner = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(arg, "begin"), "end"), ":")
	if f.inner == "" {
		f.inner = localTime
	}
	if strings.HasPrefix(arg, "end") || arg == "msec_frac" || arg == "usec_frac" {
		return nil // when it ended tells no more than how long it took
	}
	one, err := accesslog.Compile("%{" + arg + "}t")
	if err != nil {
		return err
	}
	f.kind, f.unit = kindTime, time.Second
	switch strings.TrimPrefix(arg, "begin:") {
	case "msec":
		f.unit = time.Millisecond
	case "usec":
		f.unit = time.Microsecond
	case "":
		f.clock = func(text string) (time.Time, error) { return time.Parse("["+localTime+"]", text) }
		return nil
	}
	if strings.Contains(arg, "%") && !strings.ContainsAny(strings.ReplaceAll(arg, "%%", ""), "FDdjY") {
		return fmt.Errorf("shows no day: want a time such as %%t or %%{sec}t")
	}
	f.clock = func(text string) (time.Time, error) {
		r, err := one.Parse([]byte(text))
		return r.Start, err
	}
	return nil
}

// close finds what each field ends at.
func (l *Layout) close() error {
	for i := range l.fields {
		f := &l.fields[i]
		if i == len(l.fields)-1 {
			f.closing = l.tail
			break
		}
		next := &l.fields[i+1]
		f.closing = next.text
		if next.bracketed() {
			f.closing += "[" // users may have spaces, and httpd lets them
		}
		if f.closing == "" && !f.bracketed() {
			return fmt.Errorf("log format: nothing keeps %s and %s apart: want text between them, such as a space", f.name, next.name)
		}
		if f.inner != "" && f.closing != "" && !f.bracketed() {
			if strings.Contains(f.inner, "%e") && strings.HasPrefix(f.closing, " ") {
				return fmt.Errorf("log format: %s has a space more on the first days of a month, where a space is its end: want %%d", f.name)
			}
			f.skip = strings.Count(f.inner, f.closing)
		}
	}
	return nil
}

// bracketed reports whether the field brings its own brackets, as %t does.
func (f *field) bracketed() bool { return f.name == "%t" || f.name == "%{}t" }

// choose keeps one field of a kind.
func (l *Layout) choose() {
	best := [kinds]int{}
	for i := range l.fields {
		f := &l.fields[i]
		if f.kind == kindOther {
			continue
		}
		if !l.has[f.kind] {
			l.has[f.kind], best[f.kind] = true, i
			continue
		}
		if b := &l.fields[best[f.kind]]; f.unit < b.unit || f.final && !b.final {
			b.kind, best[f.kind] = kindOther, i
		} else {
			f.kind = kindOther
		}
	}
}
