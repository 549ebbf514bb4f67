package spool

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const (
	// maxPut bounds the records that one transaction stores, so that the log holds little more than this
	// beyond the thousand pages at which it is worked into the database.
	maxPut = 2 << 20
	// reserveLog is for working the log into the database: those thousand pages, and a transaction of
	// records that take twice what they are reckoned as (see docs/spool.md).
	reserveLog = 8 << 20
	// reserveIndex is for what leases change in the tables and indexes.
	reserveIndex = 256 << 10
)

// A reserve is room on the disk for noting what was delivered when there is none else. A file of zeros holds
// it, beside the spool and shared by all processes that have it open. It is given up when the disk is full:
// then the log can be worked into the database, after which it is written from its beginning and need
// not grow. Without the reserve nothing more is put, lest that room be taken too.
type reserve struct {
	file *os.File
	size int64
}

func openReserve(path string, cfg *Config) (*reserve, error) {
	f, err := os.OpenFile(path+"-reserve", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the reserve of the spool: %w", err)
	}
	return &reserve{f, min(reserveLog, 2*int64(cfg.Limit.Bytes)) + 2*int64(cfg.MaxRecord) + reserveIndex}, nil
}

// fill makes the reserve whole again if it is not.
func (r *reserve) fill() error {
	info, err := r.file.Stat()
	if err != nil || info.Size() >= r.size {
		return err
	}
	err = allocate(r.file, r.size)
	if err == nil {
		return nil
	}
	err = errors.Join(err, r.give()) // half of it serves nobody
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w: the %d bytes of its reserve do not fit: %w", ErrDiskFull, r.size, err)
	}
	return err
}

// give gives the reserve up.
func (r *reserve) give() error { return r.file.Truncate(0) }

func (r *reserve) close() error { return r.file.Close() }

// allocateZeros writes n zeros, for systems that cannot set room apart otherwise.
func allocateZeros(f *os.File, n int64) error {
	zeros := make([]byte, 64<<10)
	for at := int64(0); at < n; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), n-at)], at); err != nil {
			return err
		}
	}
	return nil
}
