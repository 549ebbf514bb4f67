package logfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// repair finishes what a kill has interrupted, and brings the manifest and the directory together
// where others have changed the directory.
func (c *Collector) repair(ctx context.Context, l *listing) error {
	var wrong faults
	for n := range l.raw {
		wrong.add(c.look(l, n))
	}
	for n, r := range c.manifest.entries {
		_, raw := l.raw[n]
		_, gz := l.gz[n]
		switch {
		case r.Step == Removed:
			if err := c.unlink(l, n); err != nil {
				wrong.add(err)
				continue
			}
			c.manifest.forget(n)
		case gz && raw:
			wrong.add(c.unlinkRaw(l, n))
			delete(l.raw, n) // if it cannot be removed, its compressed file goes on all the same
		case raw && r.Step == Uploaded: // without a compressed file
			wrong.add(c.gone(l, n, r, "space"))
		case !gz && !raw:
			wrong.add(c.gone(l, n, r, "missing"))
		}
	}
	for n := range l.gz {
		if _, known := c.manifest.entries[n]; !known {
			wrong.add(c.adopt(ctx, l, n))
		}
	}
	return wrong.err()
}

// look finds out whether a segment is being written. Where that cannot be told it counts as being
// written: to compress it could lose what is still to come.
func (c *Collector) look(l *listing, n Name) error {
	f := l.raw[n]
	segment, err := os.OpenFile(c.path(n, suffix), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		delete(l.raw, n)
		return nil
	}
	if err == nil {
		defer segment.Close() // nothing was written to it
		err = lock(segment)
	}
	if err == nil && f.size == 0 {
		if info, failed := segment.Stat(); failed == nil && info.Size() == 0 {
			// Its compressed file stays, if there is one: that was synced, so when the machine has
			// lost power it has what the segment lost.
			if err = c.unlinkRaw(l, n); err == nil {
				return nil
			}
		}
	}
	f.held = err != nil
	l.raw[n] = f
	if err == nil || errors.Is(err, errHeld) {
		return nil
	}
	return fmt.Errorf("segment %s: %w", n, err)
}

// adopt records a compressed file that the manifest does not know, because a kill came before the
// record or somebody has removed the manifest. One that is not whole is set aside, unless its
// segment is there to be compressed again.
func (c *Collector) adopt(ctx context.Context, l *listing, n Name) error {
	segment, raw := l.raw[n]
	if segment.held {
		return nil
	}
	r, err := c.unpacked(ctx, n)
	switch {
	case err == nil && r.Raw >= segment.size:
		// The compressed file was synced before it had its name, which a segment never is.
		if err := c.record(r); err != nil || !raw {
			return err
		}
		return c.unlinkRaw(l, n)
	case raw:
		return nil
	}
	delete(l.gz, n) // in this round
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if damaged(err) {
		// It is for people to look at. What goes on is that it is not uploaded.
		return errors.Join(err, os.Rename(c.path(n, packed), c.path(n, packed+".damaged")))
	}
	return err // that it cannot be read now says nothing of what it has
}

// faults are what went wrong with segments in one step, the first of them in words.
type faults struct {
	errs []error
	more int
}

// maxFaults bounds the words.
const maxFaults = 5

func (f *faults) add(err error) {
	switch {
	case err == nil:
	case len(f.errs) < maxFaults:
		f.errs = append(f.errs, err)
	default:
		f.more++
	}
}

func (f *faults) err() error {
	if f.more == 0 {
		return errors.Join(f.errs...)
	}
	return errors.Join(append(f.errs, fmt.Errorf("and %d segments more", f.more))...)
}
