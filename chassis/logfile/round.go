package logfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// round does everything that can be done now.
func (c *Collector) round(ctx context.Context) (*listing, error) {
	c.manifest.reserve()
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	full := c.isFull()
	errs := []error{c.repair(ctx, l), c.relieve(l, full)}
	errs = append(errs, c.packAll(ctx, l, full), c.uploadAll(ctx, l), c.expire(ctx, l), c.manifest.renew(c.o.Clock.Now()))
	return l, errors.Join(errs...)
}

func (c *Collector) path(n Name, suffix string) string {
	return filepath.Join(c.o.Dir, n.String()+suffix)
}

func (c *Collector) record(r Record) error {
	r.Time = c.o.Clock.Now().UTC()
	return c.manifest.add(r)
}

// unlinkRaw removes a segment that has been compressed, or is empty.
func (c *Collector) unlinkRaw(l *listing, n Name) error {
	if err := os.Remove(c.path(n, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.disk -= l.raw[n].size
	delete(l.raw, n)
	return nil
}

// unlink removes all there is of a segment.
func (c *Collector) unlink(l *listing, n Name) error {
	if err := c.unlinkRaw(l, n); err != nil {
		return err
	}
	if err := os.Remove(c.path(n, packed)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.disk -= l.gz[n].size
	delete(l.gz, n)
	return nil
}

// gone removes a segment, and says so first.
func (c *Collector) gone(l *listing, n Name, r Record, why string) error {
	dropped := c.o.Bucket != nil && r.Step != Uploaded
	err := c.record(Record{Step: Removed, Segment: n.String(), Lines: r.Lines, Why: why, Dropped: dropped})
	if err != nil {
		return err
	}
	c.count(func(_ *CollectorStats, lines *Lines) {
		if dropped {
			lines.Dropped += r.Lines
		} else {
			lines.Expired += r.Lines
		}
	}, n.Stream)
	if err := c.unlink(l, n); err != nil {
		return err
	}
	c.manifest.forget(n)
	delete(c.retries, n)
	return nil
}

// packAll compresses what is sealed. One that cannot be compressed holds up no other.
func (c *Collector) packAll(ctx context.Context, l *listing, full bool) error {
	var wrong faults
	for _, s := range l.candidates(c) {
		f, raw := l.raw[s.name]
		if !raw || c.lingers(f) && l.disk <= c.o.Budget && !full {
			continue
		}
		err := c.packOne(ctx, l, s.name)
		for noSpace(err) && ctx.Err() == nil {
			if freed, failed := c.makeRoom(ctx, l, s.name); !freed {
				wrong.add(errors.Join(err, failed))
				return wrong.err()
			}
			if _, there := l.raw[s.name]; !there {
				err = nil // it was what had to go
				break
			}
			err = c.packOne(ctx, l, s.name)
		}
		wrong.add(err)
		if errors.Is(err, errManifest) || ctx.Err() != nil {
			break // which would be so for all
		}
	}
	return wrong.err()
}

// lingers reports whether a segment is left for those who follow it. A clock that was put back by
// more does not make it stay: then its last line lies in what is now the future.
func (c *Collector) lingers(f file) bool {
	return c.o.Clock.Now().Sub(f.until).Abs() < c.o.Linger
}

func (c *Collector) packOne(ctx context.Context, l *listing, n Name) error {
	segment, err := os.Open(c.path(n, suffix))
	if errors.Is(err, fs.ErrNotExist) {
		delete(l.raw, n)
		return nil // somebody else has removed it before anything was known of it
	}
	if err != nil {
		return err
	}
	defer segment.Close()
	r, err := c.pack(ctx, segment, n)
	if err != nil {
		return err
	}
	l.gz[n] = file{size: r.Size, until: r.Until}
	l.disk += r.Size
	if err := c.record(r); err != nil {
		return err
	}
	c.count(func(s *CollectorStats, _ *Lines) { s.Packed++ }, n.Stream)
	return c.unlinkRaw(l, n)
}

// makeRoom removes the oldest segment that is where it is to be. When there is none, next is
// uploaded as it is compressed, without a file. When that cannot be either, and nothing waits whose
// upload will make room, the oldest at all is dropped: otherwise nothing would ever go on.
func (c *Collector) makeRoom(ctx context.Context, l *listing, next Name) (freed bool, err error) {
	all := l.candidates(c)
	if i := slices.IndexFunc(all, func(s candidate) bool { return s.done }); i >= 0 {
		err := c.drop(ctx, l, all[i].name, "space")
		return err == nil, err
	}
	if c.o.Bucket != nil && !c.o.Clock.Now().Before(c.retries[next].after) {
		if err = c.uploadUnpacked(ctx, l, next); err == nil {
			return true, nil
		}
		c.failed(next)
	}
	if len(l.gz) > 0 || ctx.Err() != nil {
		return false, err
	}
	failed := c.drop(ctx, l, all[0].name, "space")
	return failed == nil, errors.Join(err, failed)
}

// uploadUnpacked uploads a segment for whose compressed file there is no space, and removes it.
func (c *Collector) uploadUnpacked(ctx context.Context, l *listing, n Name) error {
	segment, err := os.Open(c.path(n, suffix))
	if err != nil {
		return err
	}
	defer segment.Close()
	r, err := compress(ctx, segment, n, io.Discard)
	if err == nil {
		err = c.upload(ctx, n, r, func() (io.ReadCloser, error) {
			out, in := io.Pipe()
			go func() {
				_, err := compress(ctx, segment, n, in)
				_ = in.CloseWithError(err) // it has none
			}()
			return out, nil
		})
	}
	if err != nil {
		return err
	}
	return c.gone(l, n, c.manifest.entries[n], "space")
}

// drop removes a segment, whether it has been compressed or not.
func (c *Collector) drop(ctx context.Context, l *listing, n Name, why string) error {
	r := c.manifest.entries[n]
	if _, raw := l.raw[n]; raw {
		f, err := os.Open(c.path(n, suffix))
		if err != nil {
			return err
		}
		defer f.Close()
		r.Lines = 0
		if _, err := countLines(&contextReader{ctx, f}, &r.Lines); err != nil {
			return err
		}
	}
	return c.gone(l, n, r, why)
}

// isFull reports whether somebody has told that the disk is full since it was last asked.
func (c *Collector) isFull() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.full
	c.full = false
	return full
}

// relieve makes room when there is none.
func (c *Collector) relieve(l *listing, full bool) error {
	if !full {
		return nil
	}
	done := slices.DeleteFunc(l.candidates(c), func(s candidate) bool { return !s.done })
	for _, s := range done[:(len(done)+7)/8] {
		if err := c.gone(l, s.name, c.manifest.entries[s.name], "space"); err != nil {
			return err
		}
	}
	return nil
}

// uploadAll uploads what was compressed, the oldest first. When two in a row cannot be, the bucket
// is given a rest until the next round.
func (c *Collector) uploadAll(ctx context.Context, l *listing) error {
	if c.o.Bucket == nil {
		return nil
	}
	var errs []error
	inARow := 0
	for _, s := range l.waiting(c) {
		if _, raw := l.raw[s.name]; raw || c.o.Clock.Now().Before(c.retries[s.name].after) {
			continue
		}
		if ctx.Err() != nil || inARow == 2 {
			break
		}
		err := c.uploadOne(ctx, s.name)
		if err == nil {
			inARow = 0
			continue
		}
		inARow++
		errs = append(errs, err)
		c.failed(s.name)
	}
	return errors.Join(errs...)
}

// failed has the upload of a segment rest for a while.
func (c *Collector) failed(n Name) {
	again := c.retries[n]
	again.failed++
	again.after = c.o.Clock.Now().Add(min(c.o.Every<<min(again.failed-1, 6), time.Minute))
	c.retries[n] = again
}

// uploadOne uploads a compressed segment.
func (c *Collector) uploadOne(ctx context.Context, n Name) error {
	return c.upload(ctx, n, c.manifest.entries[n], func() (io.ReadCloser, error) { return os.Open(c.path(n, packed)) })
}

// upload has the bucket take a segment, unless it has it already, and asks the bucket whether it has.
func (c *Collector) upload(ctx context.Context, n Name, r Record, open func() (io.ReadCloser, error)) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	want := Object{r.Size, r.SHA256}
	r.Step, r.Key = Uploaded, c.key(n)
	err := func() error {
		have, err := c.o.Bucket.Stat(ctx, r.Key)
		if err == nil && have == want {
			return nil // a kill has come before the record
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		body, err := open()
		if err != nil {
			return err
		}
		defer body.Close()
		if err := c.o.Bucket.Put(ctx, r.Key, body, want); err != nil {
			return err
		}
		if have, err = c.o.Bucket.Stat(ctx, r.Key); err != nil {
			return fmt.Errorf("after it was put: %w", err)
		}
		if have != want {
			return fmt.Errorf("the bucket has %d bytes with SHA-256 %s, want %d and %s", have.Size, have.SHA256, want.Size, want.SHA256)
		}
		return nil
	}()
	if err != nil {
		return fmt.Errorf("upload %s: %w", r.Key, err)
	}
	if err := c.record(r); err != nil {
		return err
	}
	delete(c.retries, n)
	c.count(func(s *CollectorStats, lines *Lines) {
		s.Uploaded++
		s.Bytes += uint64(r.Size)
		lines.Uploaded += r.Lines
	}, n.Stream)
	return nil
}

func (c *Collector) key(n Name) string {
	return path.Join(c.o.Prefix, n.Stream, n.Begun.Format("2006/01/02"), n.String()+packed)
}

// expire removes what is old and what is too much. One that cannot be removed holds up no other.
func (c *Collector) expire(ctx context.Context, l *listing) error {
	oldest := c.o.Clock.Now().Add(-c.o.Keep)
	all := l.candidates(c)
	var wrong faults
	for _, done := range []bool{true, false} {
		for _, s := range all {
			if s.done != done || ctx.Err() != nil {
				continue
			}
			why := ""
			switch {
			case s.done && s.until.Before(oldest):
				why = "age"
			case l.disk > c.o.Budget:
				why = "budget"
			default:
				continue
			}
			err := c.drop(ctx, l, s.name, why)
			wrong.add(err)
			if errors.Is(err, errManifest) {
				return wrong.err()
			}
		}
	}
	return wrong.err()
}
