//go:build !linux

package spool

import "os"

// allocate takes n bytes of the disk for a file.
func allocate(f *os.File, n int64) error { return allocateZeros(f, n) }
