package projection

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// A Projection is a table that follows a journal. Make one with [Open], have it follow with
// [Projection.Run], ask it with [Query]. It is safe for concurrent use.
type Projection struct {
	spec    Spec
	path    string // empty in memory
	journal journal.Journal
	clock   clock.Clock

	// Connections that nobody uses. In memory both channels are one, with the only connection.
	writer  chan sqlitefile.Conn
	readers chan sqlitefile.Conn // a zero one stands for one that was not opened yet

	closeOnce sync.Once
	closed    chan struct{}

	mu      sync.Mutex
	state   state
	head    journal.Position // as far as it is known
	began   time.Time        // of Run
	applied uint64           // events, by Run
	before  uint64           // and by calls of Run before it
	trouble error            // that is being waited out
	wanted  journal.Position // by callers of Wait
	wake    func()           // ends the wait for an event
	moved   chan struct{}    // closed when state changes; nil unless somebody waits
}

// Open opens the projection of j in the file that url names (file:PATH), which is made when it does
// not exist and whose directory must; or in memory (mem:). Several projections may be in one file,
// which must not be the journal's. The host closes the projection, before j if that was opened
// first. A host that is dry gets an empty projection that touches nothing. ctx bounds the opening
// only.
func Open(ctx context.Context, h journal.Host, url string, j journal.Journal, spec Spec) (*Projection, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	path, err := parseURL(url)
	if err == nil && h.Dry() {
		path = ""
	}
	var p *Projection
	if err == nil {
		p, err = open(ctx, path, spec)
	}
	if err != nil {
		return nil, fmt.Errorf("open projection %s: %w", spec.Name, err)
	}
	p.journal, p.clock = j, h.Clock()
	h.OnClose("projection "+spec.Name, p.close)
	return p, nil
}

func open(ctx context.Context, path string, spec Spec) (p *Projection, err error) {
	p = &Projection{spec: spec, path: path, closed: make(chan struct{}), writer: make(chan sqlitefile.Conn, 1)}
	var c sqlitefile.Conn
	if path == "" {
		c, err = connect(path)
		p.readers = p.writer
	} else {
		c, err = connectWriter(ctx, path)
		p.readers = make(chan sqlitefile.Conn, maxReaders)
		for range maxReaders {
			p.readers <- sqlitefile.Conn{}
		}
	}
	if err != nil {
		return nil, err
	}
	p.state, err = enter(ctx, c, &p.spec)
	if err == nil && path != "" {
		err = sqlitefile.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(p.explain(err), c.Close())
	}
	p.writer <- c
	return p, nil
}

// place is where the projection is, as errors say it.
func (p *Projection) place() string {
	if p.path == "" {
		return "mem:"
	}
	return p.path
}

// isClosed reports whether Close was called.
func (p *Projection) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// explain says what an error of the file means.
func (p *Projection) explain(err error) error {
	if p.path == "" {
		return err
	}
	return kind.Explain(p.path, err)
}

// borrow takes a connection from idle; give takes it back.
func (p *Projection) borrow(ctx context.Context, idle chan sqlitefile.Conn) (sqlitefile.Conn, error) {
	if err := ctx.Err(); err != nil {
		return sqlitefile.Conn{}, err
	}
	if p.isClosed() {
		return sqlitefile.Conn{}, journal.ErrClosed
	}
	select {
	case c := <-idle:
		return c, nil
	case <-ctx.Done():
		return sqlitefile.Conn{}, ctx.Err()
	case <-p.closed:
		return sqlitefile.Conn{}, journal.ErrClosed
	}
}

// read lends f a connection and the name of the table that is to be asked. The connection is in one
// transaction all the while, so that the table is not dropped meanwhile.
func (p *Projection) read(ctx context.Context, f func(c sqlitefile.Conn, table string) error) (err error) {
	c, err := p.borrow(ctx, p.readers)
	if err != nil {
		return err
	}
	defer func() { p.readers <- c }()
	if c.Conn == nil {
		if c, err = connect(p.path); err != nil {
			return fmt.Errorf("projection %s: %w", p.spec.Name, err)
		}
	}
	defer sqlitefile.Rollback(c.Conn)
	c.SetInterrupt(ctx.Done())
	defer c.SetInterrupt(nil) // before Rollback, which would be interrupted too
	version := int64(0)
	if err = c.Query("BEGIN").Run(); err == nil {
		version, err = c.Query(queryServed).Text(1, p.spec.Name).Number(2, int64(p.spec.Version)).One()
	}
	if err == nil && version == 0 {
		err = ErrNotBuilt
	}
	if err == nil {
		err = f(c, table(p.spec.Name, version))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("projection %s: %w", p.spec.Name, kind.Damage(err))
}

// close ends queries and a run, and closes the connections, or leaves them when ctx ends first.
func (p *Projection) close(ctx context.Context) (err error) {
	p.closeOnce.Do(func() {
		close(p.closed)
		idle := []chan sqlitefile.Conn{p.writer}
		if p.path != "" {
			for range maxReaders {
				idle = append(idle, p.readers)
			}
		}
		for _, from := range idle {
			select {
			case c := <-from:
				if c.Conn != nil {
					err = errors.Join(err, c.Close())
				}
			case <-ctx.Done():
				err = errors.Join(err, fmt.Errorf("close projection %s: %w", p.spec.Name, ctx.Err()))
				return
			}
		}
	})
	return err
}
