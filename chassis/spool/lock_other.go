//go:build !unix

package spool

// A lock does nothing here: Windows does not rename a file that another process has open.
type lock struct{}

func openLock(string) (*lock, error) { return &lock{}, nil }

func (*lock) share() error     { return nil }
func (*lock) exclusive() error { return nil }
func (*lock) close() error     { return nil }
