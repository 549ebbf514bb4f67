package logfile

// Held reports whether a segment is being written.
var Held = held
