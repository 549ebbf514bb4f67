package spool

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// kind is what spools are among SQLite files: "rwsp".
//
// Bodies have a table of their own, because a row is written anew, with all of its body, each time
// that it is leased. The indexes are partial, so that a record is in one of the last three at a time,
// and finding what is ready does not walk over what is held or parked.
var kind = sqlitefile.Kind{
	Noun:          "spool",
	ApplicationID: 0x72777370,
	Version:       1,
	Schema: []sqlitefile.Object{
		{Name: "counters", SQL: `CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID`},
		{Name: "records", SQL: `CREATE TABLE records(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, put INTEGER NOT NULL, size INTEGER NOT NULL, sum INTEGER NOT NULL, state INTEGER NOT NULL, tries INTEGER NOT NULL, lease INTEGER NOT NULL, until INTEGER NOT NULL, reason TEXT NOT NULL) STRICT`},
		{Name: "bodies", SQL: `CREATE TABLE bodies(seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT`},
		{Name: "records_ready", SQL: `CREATE INDEX records_ready ON records(seq) WHERE state = 0`},
		{Name: "records_held", SQL: `CREATE INDEX records_held ON records(until) WHERE state IN (1, 2)`},
		{Name: "records_parked", SQL: `CREATE INDEX records_parked ON records(seq) WHERE state = 3`},
	},
	Remedy:  "restore it, or set Config.SetAside to keep it under another name and begin anew",
	Invalid: ErrInvalid, Corrupt: ErrCorrupt, Busy: ErrBusy, Full: ErrDiskFull, Failed: ErrFailed,
}

// States of a record: column state.
const (
	ready   = 0
	leased  = 1 // until its lease ends
	delayed = 2 // given back, until it may be tried again
	parked  = 3 // since until
)

const (
	queryID          = `SELECT seq FROM records WHERE id = ?`
	queryBody        = `SELECT r.id, r.kind, r.put, r.size, r.sum, r.tries, r.until, r.reason, b.body FROM records r LEFT JOIN bodies b ON b.seq = r.seq WHERE r.seq = ?`
	queryReady       = `SELECT seq FROM records INDEXED BY records_ready WHERE state = 0 ORDER BY seq LIMIT 2000`
	queryReadyBehind = `SELECT seq FROM records INDEXED BY records_ready WHERE state = 0 ORDER BY seq LIMIT 2000 OFFSET ?` // apart: SQLite prepares it anew each time
	queryIsReady     = `SELECT count(*) FROM records WHERE seq = ? AND state = 0`
	queryEnded       = `SELECT seq, state, tries FROM records INDEXED BY records_held WHERE state IN (1, 2) AND until <= ? ORDER BY until LIMIT 1000`
	queryHeld        = `SELECT count(*) FROM records INDEXED BY records_held WHERE state IN (1, 2)`
	queryParked      = `SELECT count(*) FROM records INDEXED BY records_parked WHERE state = 3`
	queryAllSeqs     = `SELECT seq FROM records INDEXED BY records_parked WHERE state = 3 AND seq > ? ORDER BY seq LIMIT 1000`
	queryOldest      = `SELECT put FROM records WHERE state <> 3 ORDER BY seq LIMIT 1`
	queryOrder       = `SELECT seq, put, size, state FROM records ORDER BY seq`
	querySize        = `SELECT size FROM records WHERE seq = ?`
	queryMine        = `SELECT tries FROM records WHERE seq = ? AND lease = ? AND state = 1`
	queryParkedID    = `SELECT seq FROM records WHERE id = ? AND state = 3`

	insertRecord = `INSERT INTO records(seq, id, kind, put, size, sum, state, tries, lease, until, reason) VALUES(?, ?, ?, ?, ?, ?, 0, 0, 0, 0, '')`
	insertBody   = `INSERT INTO bodies(seq, body) VALUES(?, ?)`
	updateState  = `UPDATE records SET state = ?, tries = ?, lease = ?, until = ?, reason = ? WHERE seq = ?`
	deleteRecord = `DELETE FROM records WHERE seq = ?`
	deleteBody   = `DELETE FROM bodies WHERE seq = ?`

	queryCounters = `SELECT name, value FROM counters`
	updateCounter = `INSERT INTO counters(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value`
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf is the CRC-32C (RFC 3720, appendix B.4) of what is delivered of a record, and where it stands.
func sumOf(seq, put int64, id, kind string, body []byte) int64 {
	head := make([]byte, 0, 24+len(id)+len(kind))
	head = binary.LittleEndian.AppendUint64(head, uint64(seq))
	head = binary.LittleEndian.AppendUint64(head, uint64(put))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(id)))
	head = append(append(head, id...), kind...)
	return int64(crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, body))
}
