// Package logfile keeps log files for their whole life: written, rotated, compressed, uploaded,
// verified and at last removed, without anybody's care.
//
// A log is a stream of lines. A [Stream] writes one as segments, files of a directory:
//
//	access-20261128T153351.123456Z-3-4711-1.log   the stream, when the segment was begun (UTC), the
//	                                              generation of its worker, process and a number
//	access.log                                    a symbolic link to what is written now, for tail -F
//
// Each process writes segments of its own, so the two workers of a reload never share a file. A
// segment is held by flock while it is written, and nothing else marks it: it is sealed when that
// lock is free, whether its writer has gone on to the next one, has ended or was killed. Segments
// hold whole lines, but for the last one of a process that was killed while it wrote.
//
// A [Collector] takes sealed segments and compresses, uploads and removes them; one process at a
// time does that for a directory. What it has done is in a manifest, so that it goes on after a
// kill at any point without losing or doubling a step.
//
// Segments are rotated here and not by gopkg.in/natefinch/lumberjack.v2, which was tried (v2.2.1): its
// backups are named by the millisecond and overwrite each other, so rotations in quick succession
// lose lines; what is written after the directory was removed vanishes without an error; every
// logger leaves a goroutine behind; and its errors cannot be told apart.
//
// Systems without flock are not supported: there, opening a stream is an error.
package logfile
