package spool

import "errors"

// Errors that the spool wraps; test for them with [errors.Is].
var (
	// ErrInvalid says that an argument, or the file, is not what this package takes.
	ErrInvalid = errors.New("invalid argument")
	// ErrFull says that a record does not fit [Limit].Bytes. Nothing was stored.
	ErrFull = errors.New("spool is full")
	// ErrDiskFull says that the disk has no room, or none for the spool's reserve. Nothing was changed;
	// calls succeed again when there is room.
	ErrDiskFull = errors.New("disk of the spool is full")
	// ErrBusy says that another process kept the spool locked for too long. Nothing was changed;
	// trying again later is safe.
	ErrBusy = errors.New("spool is locked by another process")
	// ErrUnknownOutcome says that a call may or may not have been carried out. Repeating it is safe: a
	// record with the same ID is kept once.
	ErrUnknownOutcome = errors.New("outcome of the call is unknown")
	// ErrFailed says that the storage failed and the spool does nothing more. What it has acknowledged
	// is as safe as the storage; only opening it anew tells what is there.
	ErrFailed = errors.New("spool storage failed")
	// ErrCorrupt says that the file is damaged.
	ErrCorrupt = errors.New("spool is damaged")
	// ErrClosed says that the spool was closed.
	ErrClosed = errors.New("spool is closed")
)
