package spool

import (
	"fmt"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// OnStep has f called between the steps of each transaction. No call may be going on.
func OnStep(s *Spool, f func(string)) { s.t.step = f }

// SetMaxPages makes the disk of a spool as small as n pages. No call may be going on.
func SetMaxPages(s *Spool, n int) error {
	return sqlitefile.Exec(s.t.Conn.Conn, fmt.Sprintf("PRAGMA max_page_count = %d", n))
}

// Run runs SQL behind the spool's back. No call may be going on.
func Run(s *Spool, sql string) error { return sqlitefile.Exec(s.t.Conn.Conn, sql) }
