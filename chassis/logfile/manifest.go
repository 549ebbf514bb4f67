package logfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	manifestName  = "manifest.jsonl"
	manifestNew   = "manifest.jsonl.new"
	manifestTopic = "manifest" // stream of former manifests
	maxManifest   = 1 << 20    // bytes; a longer one becomes a segment itself, one of a sixteenth of the budget as well
	minManifest   = 16 << 10   // bytes that it may have whatever the budget is
	manifestSpare = 64 << 10   // bytes that are kept for it on the disk, so that removing is possible when there is no space
)

// errManifest says that nothing can be written down, so that nothing may be done.
var errManifest = errors.New("write to the manifest")

// A manifest is the file of what was done. A record is on the disk before what follows from it is
// done, and each step can be done again: so whoever reads it goes on where another was killed.
type manifest struct {
	dir  string
	file *os.File
	size int64
	most int64 // bytes, unless more are needed
	max  int64
	// entries are the latest records of segments, of those that are removed as long as something
	// of them may be there.
	entries map[Name]Record
}

// openManifest reads the manifest of a directory. damaged tells of lines that are no records;
// what they told is found out anew. The budget is that of the directory.
func openManifest(dir string, budget int64) (m *manifest, damaged, err error) {
	path := filepath.Join(dir, manifestName)
	// Beside a small budget a long manifest would leave no room for logs.
	most := min(max(budget/16, minManifest), maxManifest)
	m = &manifest{dir: dir, most: most, max: most, entries: map[Name]Record{}}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		// A kill may have come between two steps of renew.
		if err := os.Rename(filepath.Join(dir, manifestNew), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	if m.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640); err != nil {
		return nil, nil, err
	}
	records, damaged := ReadManifest(m.file)
	for _, r := range records {
		m.apply(r)
	}
	if m.size, err = wholeLines(m.file); err == nil {
		err = m.file.Truncate(m.size)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, nil, errors.Join(err, m.file.Close())
	}
	m.reserve()
	return m, damaged, nil
}

// wholeLines is where the last whole line of a file ends.
func wholeLines(f *os.File) (int64, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	b := make([]byte, 1)
	for ; end > 0; end-- {
		if _, err := f.ReadAt(b, end-1); err != nil {
			return 0, err
		}
		if b[0] == '\n' {
			break
		}
	}
	return end, nil
}

// apply keeps what a record tells.
func (m *manifest) apply(r Record) {
	name, _ := ParseName(r.Segment) // which made it a record
	m.entries[name] = r
}

// add appends a record, and returns when the disk has it.
func (m *manifest) add(r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	n, err := m.file.WriteAt(line, m.size)
	if err == nil {
		err = m.file.Sync()
	}
	if err != nil {
		if n > 0 {
			err = errors.Join(err, m.file.Truncate(m.size))
		}
		return fmt.Errorf("%w: %w", errManifest, err)
	}
	m.size += int64(len(line))
	m.apply(r)
	return nil
}

// reserve keeps space on the disk for more records, where the system can. Without it, what is to
// make room could not be written down on a full disk.
func (m *manifest) reserve() { allocate(m.file, m.size, manifestSpare) }

// renew makes the manifest a segment, when it is long, and begins another one with what is
// still needed.
func (m *manifest) renew(now time.Time) error {
	if m.size < m.max {
		return nil
	}
	fresh, path := filepath.Join(m.dir, manifestNew), filepath.Join(m.dir, manifestName)
	var kept int64
	_, err := save(fresh, func(w io.Writer) error {
		for _, r := range m.entries {
			line, err := json.Marshal(r)
			if err == nil {
				var n int
				n, err = w.Write(append(line, '\n'))
				kept += int64(n)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("begin another manifest: %w", errors.Join(err, os.Remove(fresh)))
	}
	name := Name{manifestTopic, now.UTC().Truncate(time.Microsecond), 0, os.Getpid(), 1}
	former := filepath.Join(m.dir, name.String()+suffix)
	if err := replace(path, former); err != nil {
		return fmt.Errorf("begin another manifest: %w", err)
	}
	var file *os.File
	if err = replace(fresh, path); err == nil {
		file, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		// What is added from now on goes to the former one, which may not be a segment then.
		return fmt.Errorf("begin another manifest: %w", errors.Join(err, os.Rename(former, path)))
	}
	_ = m.file.Close() // every write to it was synced
	// Should as much be needed, it may not be renewed at each pass.
	m.file, m.size, m.max = file, kept, max(m.most, 2*kept)
	m.reserve()
	return nil
}

// forget leaves a segment out of which nothing is left.
func (m *manifest) forget(n Name) { delete(m.entries, n) }

func (m *manifest) close() error { return m.file.Close() }
