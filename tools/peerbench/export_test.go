package peerbench

import "time"

// ParseLoad reads what h2load prints.
func ParseLoad(text string, size int) (requests, bad int, span time.Duration, err error) {
	o, err := parse(text, size)
	return o.requests, o.bad, o.span, err
}

// ReadTimes reads h2load's log.
func ReadTimes(name string) (p50, p99 time.Duration, err error) {
	var o outcome
	err = o.readTimes(name)
	return o.p50, o.p99, err
}

// ParseMemory reads the file statm of a process.
func ParseMemory(statm string) (resident int64, err error) {
	var u usage
	err = u.parse(statm)
	return u.resident, err
}

// Check asks a server once.
var Check = check
