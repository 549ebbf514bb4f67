package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

const (
	packed = suffix + ".gz"
	part   = suffix + ".gz.part"
)

// compress writes the compressed text of a segment and fills in what a record tells of it. For the
// same segment it always writes the same.
func compress(ctx context.Context, segment *os.File, name Name, w io.Writer) (Record, error) {
	info, err := segment.Stat()
	if err != nil {
		return Record{}, err
	}
	r := Record{Step: Packed, Segment: name.String(), Until: info.ModTime().UTC(), Raw: info.Size()}
	s := summer{to: w}
	z := gzip.NewWriter(&s)
	z.Name, z.ModTime = name.String()+suffix, info.ModTime()
	last, err := countLines(io.TeeReader(&contextReader{ctx, io.NewSectionReader(segment, 0, info.Size())}, z), &r.Lines)
	if err == nil && last != '\n' {
		// Whoever reads all segments one after the other finds lines of the next one whole.
		r.Torn = true
		_, err = z.Write([]byte{'\n'})
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return r, err
	}
	o := s.object()
	r.Size, r.SHA256 = o.Size, o.SHA256
	return r, nil
}

// pack compresses a segment into a file of its own, which has its name only when it is whole and
// on the disk.
func (c *Collector) pack(ctx context.Context, segment *os.File, name Name) (r Record, err error) {
	unfinished := c.path(name, part)
	_, err = save(unfinished, func(w io.Writer) (err error) {
		r, err = compress(ctx, segment, name, w)
		return err
	})
	if err == nil {
		err = replace(unfinished, c.path(name, packed))
	}
	if err != nil {
		_ = os.Remove(unfinished)
		return r, fmt.Errorf("compress segment %s: %w", name, err)
	}
	return r, nil
}

// countLines reads all and counts the line breaks. It returns the last byte.
func countLines(r io.Reader, lines *uint64) (last byte, err error) {
	b := make([]byte, 64<<10)
	for {
		n, err := r.Read(b)
		*lines += uint64(bytes.Count(b[:n], []byte{'\n'}))
		if n > 0 {
			last = b[n-1]
		}
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
	}
}

// unpacked reads a compressed file that no record tells of, to the end: its checksums hold.
func (c *Collector) unpacked(ctx context.Context, name Name) (Record, error) {
	r := Record{Step: Packed, Segment: name.String()}
	err := func() error {
		f, err := os.Open(filepath.Join(c.o.Dir, name.String()+packed))
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		var s summer
		z, err := gzip.NewReader(io.TeeReader(&contextReader{ctx, f}, &s))
		if err != nil {
			return err
		}
		counted := &countingReader{r: z}
		if _, err := countLines(counted, &r.Lines); err != nil {
			return err
		}
		r.Until, r.Raw = info.ModTime().UTC(), counted.n
		o := s.object()
		r.Size, r.SHA256 = o.Size, o.SHA256
		return nil
	}()
	if err != nil {
		return r, fmt.Errorf("compressed segment %s, of which the manifest does not know: %w", name, err)
	}
	return r, nil
}

// damaged reports whether an error of unpacked is of the file's own text, and not of reading it.
func damaged(err error) bool {
	if _, ok := errors.AsType[flate.CorruptInputError](err); ok {
		return true
	}
	for _, wrong := range []error{gzip.ErrHeader, gzip.ErrChecksum, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, wrong) {
			return true
		}
	}
	return false
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
