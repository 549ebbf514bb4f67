package certificate

import (
	"context"
	"fmt"
	"time"
)

// often is how often [Pair.Watch] looks unless it is told otherwise.
const often = 10 * time.Second

// An Event tells what became of changed files.
type Event struct {
	// Err is why the changed files were not taken; nil when they were.
	Err error
	// NotAfter is when the validity of the certificate in use ends: of the new one, or of the
	// old one if Err is set.
	NotAfter time.Time
	// Serial is the serial number of the certificate in use, in hexadecimal digits as openssl
	// x509 -serial prints them.
	Serial string
}

// Watch looks every so often whether the files have changed, and takes what they contain if it is
// a pair that is still valid. It returns when ctx ends. Every zero or less means 10 seconds.
//
// report, unless it is nil, is called by Watch's own goroutine once per change: when another
// certificate is in use, when one could not be taken, and when the files are in order again. The
// same error is not repeated, and files that change while they are read are left to the next look.
// A file written anew with the same content is no change.
//
// Watch a pair once; a second Watch at the same time is safe, but each change is then reported by
// one of them or by both.
func (p *Pair) Watch(ctx context.Context, every time.Duration, report func(Event)) {
	if every <= 0 {
		every = often
	}
	if report == nil {
		report = func(Event) {}
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var last string // the error reported last, empty while all is well
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		old, now := p.current.Load(), p.look()
		if last == "" && now.equals(old.state) && !old.state.young {
			continue
		}
		l, err := p.replacement(now)
		if !now.equals(p.look()) {
			continue // somebody is writing; a chain cut between two certificates would even fit the key
		}
		switch {
		case err == nil:
			p.current.Store(l)
			if last != "" || !l.equals(old) {
				report(Event{NotAfter: l.leaf.NotAfter, Serial: l.serial()})
			}
			last = ""
		case err.Error() != last:
			report(Event{Err: err, NotAfter: old.leaf.NotAfter, Serial: old.serial()})
			last = err.Error()
		}
	}
}

// replacement reads the files, and refuses a certificate whose validity has ended.
func (p *Pair) replacement(now state) (*loaded, error) {
	l, err := p.load(now)
	if err == nil && time.Now().After(l.leaf.NotAfter) {
		err = p.failed(fmt.Errorf("its validity ended at %s", l.leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
	return l, err
}
