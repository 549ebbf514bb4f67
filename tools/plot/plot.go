// Package plot draws how much useful work a queue does as more and more is asked of it: goodput over
// offered load, beside what an oracle would do and what queues do that know nothing of deadlines.
//
// The figures come from a test of the queue, which writes them as CSV; the picture is an SVG for
// documentation, made of text and lines, with colours for light and dark pages.
package plot

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// Data and Picture are the checked-in files, from the root of the workspace: the picture is drawn from
// the data.
const (
	Data    = "docs/img/goodput.csv"
	Picture = "docs/img/goodput.svg"
)

// Sync compares [Picture] with what [Goodput] draws from [Data] today, or with write, writes it.
func Sync(_ context.Context, w *workspace.Workspace, write bool) error {
	data, err := os.Open(filepath.Join(w.Root, filepath.FromSlash(Data)))
	if err != nil {
		return fmt.Errorf("read the figures to draw: %w", err)
	}
	defer data.Close()
	picture, err := Goodput(data)
	if err != nil {
		return fmt.Errorf("%s: %w", Data, err)
	}
	return golden.Sync(filepath.Join(w.Root, filepath.FromSlash(Picture)), picture, write)
}

// Goodput draws the CSV that `go test ./chassis/queue -run TestGoodputOverLoad -goodput FILE` writes.
// Rows with the same work_ms, the mean time that a piece of work takes in milliseconds, make a panel;
// their loads rise. There is room for four panels of two loads or more. Load and goodput are shares of
// what the workers can do. The same CSV makes the same bytes. An error begins with the line and the
// column, in bytes and counted from 1, of what is wrong, unless it is that of the reader.
func Goodput(csv io.Reader) ([]byte, error) {
	panels, err := parse(csv)
	if err != nil {
		return nil, err
	}
	return draw(panels), nil
}
