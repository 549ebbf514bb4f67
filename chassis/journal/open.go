package journal

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// A Host is what opening a journal needs of the process around it. A chassis service is one;
// [Local] is one for tests and small tools.
type Host interface {
	// OnClose registers a function to be called once when the host closes, later registrations
	// first. name says what is closed.
	OnClose(name string, f func(context.Context) error)
	// Dry reports that the host only looks at its configuration: nothing on disk or on the
	// network may be touched.
	Dry() bool
	// Clock is the time that events are recorded with and leases expire by.
	Clock() clock.Clock
	// Rand is where random bytes come from.
	Rand() io.Reader
}

// A Request is what an engine gets to open a journal.
type Request struct {
	Scheme string      // of the URL, in lower case and without the colon
	Rest   string      // of the URL, what follows the colon; it may hold a password, so errors must not repeat it whole
	Dry    bool        // check the URL only, and open an empty journal that touches neither disk nor network
	Clock  clock.Clock // never nil
	Rand   io.Reader   // never nil
}

// An Engine is a kind of storage for journals. Engines are values that a service hands to [Open],
// so that only those it names are linked into it.
type Engine struct {
	// Schemes are the URL schemes that the engine opens, in lower case and without the colon.
	Schemes []string
	// Open opens the journal that the request names. The journal outlives ctx, which only bounds
	// the opening itself.
	Open func(ctx context.Context, r Request) (Journal, error)
}

// An Opener is a Host that has a hand in how journals are opened, such as a network fake, which puts
// events into one before the service sees it.
type Opener interface {
	Host
	// OpenJournal opens what r names with e. Whoever calls it closes the journal.
	OpenJournal(ctx context.Context, e Engine, r Request) (Journal, error)
}

// Open opens the journal at url with the engine that knows its scheme, and has the host close it.
// A host that is dry gets an empty journal that touches nothing, after the URL was checked. ctx
// bounds the opening only.
func Open(ctx context.Context, h Host, url string, engines ...Engine) (Journal, error) {
	scheme, rest, found := strings.Cut(url, ":")
	scheme = strings.ToLower(scheme)
	if !found || scheme == "" {
		return nil, fmt.Errorf("open journal: %w: the URL has no scheme%s; %s", ErrInvalid, meant(url, engines), known(engines))
	}
	for _, e := range engines {
		if !slices.Contains(e.Schemes, scheme) {
			continue
		}
		open := func(ctx context.Context, e Engine, r Request) (Journal, error) { return e.Open(ctx, r) }
		if o, ok := h.(Opener); ok {
			open = o.OpenJournal
		}
		j, err := open(ctx, e, Request{Scheme: scheme, Rest: rest, Dry: h.Dry(), Clock: h.Clock(), Rand: h.Rand()})
		if err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		h.OnClose("journal", func(ctx context.Context) error { return closeWithin(ctx, j) })
		return j, nil
	}
	return nil, fmt.Errorf("open journal: %w: no engine for scheme %q; %s", ErrInvalid, scheme, known(engines))
}

// known lists the schemes that a URL may have.
func known(engines []Engine) string {
	var schemes []string
	for _, e := range engines {
		for _, s := range e.Schemes {
			schemes = append(schemes, s+":")
		}
	}
	if len(schemes) == 0 {
		return "this service links no journal engine"
	}
	return "this service knows " + strings.Join(schemes, ", ")
}

// meant guesses what a URL without a scheme was to be: the path of a file.
func meant(url string, engines []Engine) string {
	files := slices.ContainsFunc(engines, func(e Engine) bool { return slices.Contains(e.Schemes, "file") })
	if url == "" || strings.Contains(url, ":") || !files {
		return ""
	}
	return fmt.Sprintf(" (did you mean file:%s?)", url)
}

// closeWithin closes j but stops waiting when ctx ends: a disk that does not answer must not keep
// a process from exiting.
func closeWithin(ctx context.Context, j Journal) error {
	done := make(chan error, 1)
	go func() { done <- j.Close() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close journal: %w", ctx.Err())
	}
}

// A Backuper is a journal that can be copied to a file while it is in use. Use [Backup], which
// works for every journal.
type Backuper interface {
	// Backup writes a copy of the journal, as it is at one moment during the call, to a new file.
	Backup(ctx context.Context, path string) error
}

// Backup writes a consistent copy of the journal to a new file at path while the journal is in
// use, by this process and by others. When it returns nil the copy is durable; otherwise there is
// no file at path that was not there before. A path that exists is refused with an error that
// wraps fs.ErrExist, an engine that cannot make backups with [ErrUnsupported].
func Backup(ctx context.Context, j Journal, path string) error {
	b, ok := j.(Backuper)
	if !ok {
		return fmt.Errorf("back up journal to %s: %w", path, ErrUnsupported)
	}
	if path == "" {
		return fmt.Errorf("back up journal: %w: the path is empty", ErrInvalid)
	}
	if err := b.Backup(ctx, path); err != nil {
		return fmt.Errorf("back up journal to %s: %w", path, err)
	}
	return nil
}
