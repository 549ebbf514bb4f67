package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
// and so are files that are hidden or unfinished. Of a log and the same one packed beside it (.gz, .zst)
// the packed one is left out, also where both are named. A log that has been packed since it was named stays
// under its own name, as [Open] finds it.
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
		entries, err := entriesOf(name)
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
	named := map[string]bool{}
	for _, name := range all {
		named[filepath.Clean(name)] = true
	}
	return slices.DeleteFunc(all, func(name string) bool {
		original, packed := unpackedName(filepath.Clean(name))
		return packed && named[original]
	}), nil
}

// stat is of a log, or of the packed one that has taken its place. It is nil for standard input.
func stat(name string) (os.FileInfo, error) {
	if name == Stdin {
		return nil, nil
	}
	info, err := os.Stat(name)
	for _, ext := range packedExts() {
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if packed, failed := os.Stat(name + ext); failed == nil {
			return packed, nil
		}
	}
	return info, err
}

// packedExts are the endings of logs that were packed.
func packedExts() []string { return []string{".gz", ".zst"} }

// unpackedName is the name without the ending of a packed log, if it has one.
func unpackedName(name string) (original string, packed bool) {
	for _, ext := range packedExts() {
		if original, packed := strings.CutSuffix(name, ext); packed {
			return original, true
		}
	}
	return name, false
}

// Open opens a log. One that was packed since its name was read, as a collector of segments does it at any
// time, is opened under the name that it has now. A log that is packed or removed later is read to its end all
// the same.
func Open(name string) (*os.File, error) {
	f, err := os.Open(name)
	for _, ext := range packedExts() {
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if packed, failed := os.Open(name + ext); failed == nil {
			return packed, nil
		}
	}
	return f, err
}

// entriesOf is what is in a folder, twice over: a log that is packed while a folder is read may be seen
// under neither of its names. A second reading that begins after the first has ended has the new one.
func entriesOf(folder string) ([]os.DirEntry, error) {
	first, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	second, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	all := append(first, second...)
	slices.SortStableFunc(all, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(all, func(a, b os.DirEntry) bool { return a.Name() == b.Name() }), nil
}

func logsIn(entries []os.DirEntry, word string) (names []string) {
	for _, e := range entries {
		if e.Type().IsRegular() && isLog(e.Name(), word) {
			names = append(names, e.Name())
		}
	}
	return names
}

func isLog(name, word string) bool {
	if strings.HasPrefix(name, ".") || !strings.Contains(name, word) {
		return false
	}
	switch filepath.Ext(name) {
	case ".tmp", ".part", ".lock", ".json", ".html", ".sha256", ".swp", ".damaged":
		return false
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
