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

// ParseProcess reads the files stat and statm of a process.
func ParseProcess(stat, statm string) (user, system time.Duration, resident int64, err error) {
	var u usage
	err = u.parse(stat, statm)
	return u.user, u.system, u.resident, err
}

// Check asks a server once.
var Check = check
