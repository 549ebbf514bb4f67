package projection

import (
	"fmt"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// SetMaxPages makes the disk of a file as small as n pages.
func SetMaxPages(t *testing.T, p *Projection, n int) {
	t.Helper()
	c := <-p.writer
	defer func() { p.writer <- c }()
	if err := sqlitefile.Exec(c.Conn, fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
		t.Fatal(err)
	}
}
