package logfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A Bucket is where compressed segments are kept for good. It is used by one goroutine at a time.
// Package buckettest checks implementations.
type Bucket interface {
	// Put stores what body has under key. It stores nothing, and leaves what was there before,
	// unless body has exactly the size and the checksum of o: nobody ever sees a part. Keys are
	// slash-separated paths, as fs.ValidPath has it.
	Put(ctx context.Context, key string, body io.Reader, o Object) error
	// Stat says what is stored under key, by the store's own account and not by what Put was
	// told; the error is fs.ErrNotExist when nothing is.
	Stat(ctx context.Context, key string) (Object, error)
}

// An Object is what is stored under a key.
type Object struct {
	Size   int64  // bytes
	SHA256 string // 64 lower-case hex digits
}

// Dir is a Bucket in a directory, which may be that of a mounted share. Objects are files that are
// written under another name, synced and renamed.
type Dir struct{ path string }

// NewDir returns the bucket in the directory path, which is made when something is put there.
func NewDir(path string) *Dir { return &Dir{path} }

// Put implements [Bucket].
func (d *Dir) Put(ctx context.Context, key string, body io.Reader, o Object) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	part := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".part") // one that a kill has left is used again
	got, err := save(part, func(w io.Writer) error {
		_, err := io.Copy(w, &contextReader{ctx, io.LimitReader(body, o.Size+1)})
		return err
	})
	if err == nil && got != o {
		err = fmt.Errorf("it has %d bytes and SHA-256 %s, want %d and %s", got.Size, got.SHA256, o.Size, o.SHA256)
	}
	if err == nil {
		err = replace(part, path)
	}
	if err != nil {
		_ = os.Remove(part)
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// Stat implements [Bucket]: it reads the file.
func (d *Dir) Stat(ctx context.Context, key string) (Object, error) {
	path, err := d.file(key)
	if err != nil {
		return Object{}, err
	}
	f, err := os.Open(path)
	if errors.Is(err, syscall.ENOTDIR) {
		err = fs.ErrNotExist // an object is where a directory would have to be
	}
	if err != nil {
		return Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return Object{}, fmt.Errorf("read %s: %w", key, fs.ErrNotExist)
	}
	var s summer
	if _, err := io.Copy(&s, &contextReader{ctx, f}); err != nil {
		return Object{}, fmt.Errorf("read %s: %w", key, err)
	}
	return s.object(), nil
}

func (d *Dir) file(key string) (string, error) {
	if !fs.ValidPath(key) || key == "." {
		return "", fmt.Errorf("key of an object: want a slash-separated path without empty parts, . and .., got %q", key)
	}
	return filepath.Join(d.path, filepath.FromSlash(key)), nil
}

// save writes a file and syncs it.
func save(path string, fill func(io.Writer) error) (Object, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return Object{}, err
	}
	s := summer{to: f}
	if err := fill(&s); err != nil {
		return Object{}, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return Object{}, err
	}
	return s.object(), nil
}

// replace renames a file, for good.
func replace(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// makeDir makes a directory and those above it, for good: a file that was synced is lost all the
// same when the disk does not have the directory that leads to it.
func makeDir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	above := filepath.Dir(path)
	if above != path {
		if err := makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o750); err != nil && !errors.Is(err, fs.ErrExist) { // another machine may be quicker
		return err
	}
	return syncDir(above)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// summer tells size and checksum of what is written through it.
type summer struct {
	to   io.Writer // nil: nowhere
	size int64
	sum  interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func (s *summer) Write(p []byte) (int, error) {
	n := len(p)
	var err error
	if s.to != nil {
		n, err = s.to.Write(p)
	}
	if s.sum == nil {
		s.sum = sha256.New()
	}
	_, _ = s.sum.Write(p[:n]) // it has no errors
	s.size += int64(n)
	return n, err
}

func (s *summer) object() Object {
	if s.sum == nil {
		s.sum = sha256.New()
	}
	return Object{s.size, hex.EncodeToString(s.sum.Sum(nil))}
}

// contextReader ends when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
