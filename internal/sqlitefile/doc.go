// Package sqlitefile is what the rooms that keep data in a SQLite file of their own have in common:
// how the file is opened and told from others, how its write lock is got without starving beside
// another process, what SQLite's errors mean, and the group commit.
//
// Both workers of a reload have such a file open at once. The database is in WAL mode with
// synchronous=FULL: what was committed is on the disk.
package sqlitefile
