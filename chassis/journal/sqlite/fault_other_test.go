//go:build !linux

package sqlite_test

// faults are parts that this binary plays where the storage can be made to fail, which is on Linux.
var faults map[string]func(dir string) error
