package logfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Step is what a [Collector] has done with a segment.
type Step string

// The steps of a segment, in order. Where there is no bucket, uploaded is left out.
const (
	Packed   Step = "packed"   // its compressed file is whole and on the disk; the segment itself may be removed
	Uploaded Step = "uploaded" // the bucket has it, by the bucket's own account
	Removed  Step = "removed"  // there is nothing of it in the directory any more, or about to be nothing
)

// A Record is a line of a manifest. What a step does not tell has its zero value.
type Record struct {
	Time    time.Time `json:"time"`
	Step    Step      `json:"step"`
	Segment string    `json:"segment"` // its name without suffixes
	// Lines are the whole lines of the segment.
	Lines uint64 `json:"lines"`
	// Torn reports that the segment ended inside a line, since its writer was killed; a line break was added.
	Torn bool `json:"torn,omitempty"`
	// Until is when the segment was last written to.
	Until time.Time `json:"until,omitzero"`
	// Raw is the size of the segment, Size and SHA256 are those of its compressed file.
	Raw    int64  `json:"raw_bytes,omitempty"`
	Size   int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Key is where the bucket has it.
	Key string `json:"key,omitempty"`
	// Why was it removed: age, budget, space, or missing when somebody else has removed it.
	Why string `json:"why,omitempty"`
	// Dropped reports that it was removed though the bucket does not have it: its lines are lost.
	Dropped bool `json:"dropped,omitempty"`
}

// maxRecord bounds a line of a manifest.
const maxRecord = 64 << 10

// ReadManifest reads the records of a manifest, or of a segment of the stream manifest, which is what
// a manifest becomes when it is long. A last line without its end, which a kill has left, is no
// record. Lines that are none are left out and reported together with the records.
func ReadManifest(r io.Reader) ([]Record, error) {
	var records []Record
	var errs []error
	in := bufio.NewReaderSize(r, maxRecord)
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return records, errors.Join(errs...)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return records, errors.Join(append(errs, fmt.Errorf("read manifest: %w", err))...)
		}
		var record Record
		if err == nil {
			record, err = parseRecord(line)
		}
		if err == nil {
			records = append(records, record)
			continue
		}
		if len(errs) < 10 { // more say no more
			errs = append(errs, fmt.Errorf("manifest, line %d: %w", number, err))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
	}
}

func parseRecord(line []byte) (Record, error) {
	var r Record
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&r); err != nil {
		return r, err
	}
	if _, err := ParseName(r.Segment); err != nil {
		return r, err
	}
	switch r.Step {
	case Packed, Uploaded, Removed:
		return r, nil
	}
	return r, fmt.Errorf("step %q: want packed, uploaded or removed", r.Step)
}
