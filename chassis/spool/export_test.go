package spool

import (
	"errors"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/config"
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

// AllocateZeros takes room for a file where the system cannot set it apart.
var AllocateZeros = allocateZeros

// GiveReserve gives the reserve of a spool up.
func GiveReserve(s *Spool) error { return s.room.give() }

// FillReserve takes the room of the reserve of a spool at path that takes records of up to n bytes.
func FillReserve(path string, n int64) error {
	r, err := openReserve(path, &Config{Limit: Limit{Bytes: minBytes}, MaxRecord: config.Size(n)})
	if err != nil {
		return err
	}
	return errors.Join(r.fill(), r.close())
}
