package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	maxLine = 1 << 20 // bytes; httpd's are shorter than 70 KiB by its defaults
	// maxWindow bounds the memory that a zstd file can ask for. zstd itself takes no more unless it is told to.
	maxWindow = 128 << 20
)

// Stdin is the name of standard input among files.
const Stdin = "-"

// Expand replaces folders by the logs in them, in the order of their names: regular files whose names
// contain access, or if there is none, log. Links are left out, since what they point to is there as well,
// and so are files that are hidden, unfinished or packed beside their original.
func Expand(names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		info, err := stat(name)
		if err != nil {
			return nil, err
		}
		if info == nil || !info.IsDir() {
			all = append(all, name)
			continue
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			return nil, err
		}
		logs := logsIn(entries, "access")
		if logs == nil {
			logs = logsIn(entries, "log")
		}
		if len(logs) == 0 {
			return nil, fmt.Errorf("%s: no log in this folder: want files whose names contain access or log", name)
		}
		for _, log := range logs {
			all = append(all, filepath.Join(name, log))
		}
	}
	return all, nil
}

func stat(name string) (os.FileInfo, error) {
	if name == Stdin {
		return nil, nil
	}
	return os.Stat(name)
}

func logsIn(entries []os.DirEntry, word string) (names []string) {
	for _, e := range entries {
		if e.Type().IsRegular() && isLog(e.Name(), word, entries) {
			names = append(names, e.Name())
		}
	}
	return names
}

func isLog(name, word string, beside []os.DirEntry) bool {
	if strings.HasPrefix(name, ".") || !strings.Contains(name, word) {
		return false
	}
	switch ext := filepath.Ext(name); ext {
	case ".tmp", ".part", ".lock", ".json", ".html", ".sha256", ".swp", ".damaged":
		return false
	case ".gz", ".zst":
		original := strings.TrimSuffix(name, ext)
		return !slices.ContainsFunc(beside, func(e os.DirEntry) bool { return e.Name() == original })
	}
	return true
}

// errTooLong is of a line.
var errTooLong = fmt.Errorf("longer than %d bytes, which no line of a log is", maxLine)

// Lines calls each for the lines of a log, without their line breaks, until there are no more. What it
// passes is valid during the call; err is not nil, and the text its beginning, for a line that is too long.
// Packed logs (gzip, zstd) are known by their first bytes. It returns the bytes that were read, unpacked; the
// error says what is wrong with the file.
func Lines(r io.Reader, each func(text []byte, err error)) (size uint64, err error) {
	packed := bufio.NewReaderSize(r, 256<<10)
	plain, done, err := unpack(packed)
	if err != nil {
		return 0, err
	}
	defer done()
	lines := bufio.NewReaderSize(plain, maxLine)
	for {
		text, err := lines.ReadSlice('\n')
		size += uint64(len(text))
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		if n := len(text); n > 0 && text[n-1] == '\n' {
			text = text[:n-1]
		}
		if tooLong {
			each(text, errTooLong)
			for errors.Is(err, bufio.ErrBufferFull) {
				text, err = lines.ReadSlice('\n')
				size += uint64(len(text))
			}
		} else if len(text) > 0 || err == nil {
			each(text, nil)
		}
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}

func unpack(r *bufio.Reader) (plain io.Reader, done func(), err error) {
	start, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}
