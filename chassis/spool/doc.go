// Package spool keeps records on disk until somebody has taken them: error reports while Sentry is
// down, metering while the billing service is, events on their way to a broker. A record that was put
// is delivered at least once, however often this process or the receiver dies meanwhile, and the
// spool never grows past the bound it was given.
//
//	s, err := spool.Open(ctx, "reports.spool", spool.Config{
//		Limit: spool.Limit{Bytes: 64 << 20, OnFull: spool.DropOldest},
//	})
//	err = s.Put(ctx, spool.Record{ID: id, Kind: "report", Body: body}) // nil: it is on the disk
//
// Most programs leave the other side to a [Pump], which drains the spool into a function, with
// back-off while the receiver is down:
//
//	pump, err := spool.NewPump(s, spool.PumpConfig{}, deliver)
//	service.Go("reports", pump.Run)
//
// Packages webhook and kafka below this one are such functions.
//
// # At least once
//
// A record is handed out under a lease ([Spool.Lease]) and removed when it is acknowledged
// ([Spool.Ack]). Whoever dies between delivery and acknowledgement leaves a record that is delivered
// again when the lease ends, with the same ID: receivers that must not act twice remember IDs. No
// record is in two leases at once, so two processes that drain the same spool deliver nothing twice
// as long as they are done before their leases end.
//
// Records are handed out in the order in which they were first put. One that is tried again later
// stands in its old place, but those behind it do not wait for it; a pump tries it after them.
//
// # Two processes
//
// A spool is one SQLite file, which several processes may have open, as both workers of a reload do.
// It must be on a local disk. Beside PATH live PATH-wal, PATH-shm, PATH-lock and PATH-reserve. Where one
// process has left leases behind, any other takes the records over when the leases end.
//
// # Durability and speed
//
// One goroutine writes. It folds the calls that wait, at most 512, into one transaction and one
// fsync, so that alone a call costs about one fsync and 64 callers together reach many times that
// rate. At most 1,024 calls wait; more callers wait for a place until their context ends.
//
// On a full disk Put fails with [ErrDiskFull], and all else goes on: PATH-reserve keeps room for it, which
// is given up then and taken again when there is some.
//
// # Poison
//
// A record that makes its receiver, or this process, fail each time would be tried for good. After
// [Config.MaxTries] it is parked: it stays on disk and is counted, but is not handed out before an
// operator requeues it ([Spool.Parked], [Spool.Requeue], [Spool.Discard]). Whether a record or the receiver
// is at fault is told by others getting through; how, and how bad records at the front are passed, [Pump]
// says.
//
// # Damage
//
// Each record has a CRC-32C, checked when it is handed out; a damaged one is dropped and counted. A
// file that SQLite finds damaged makes Open fail with [ErrCorrupt], unless [Config.SetAside] has it
// renamed and a new spool begun. When the storage fails (an error of write or fsync, not a full disk)
// the spool stops with [ErrFailed], because after a failed fsync nobody knows what the disk has; the
// process should exit and open it anew.
package spool
