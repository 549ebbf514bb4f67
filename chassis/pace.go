package chassis

import (
	"net/http"
	"time"
)

// pace gives a body more time to arrive for what has arrived, as httpd's RequestReadTimeout does
// with MinRate. So a large body is not refused for being large, and one of which a byte comes now
// and then still is. The zero pace gives none.
type pace struct {
	w        http.ResponseWriter
	rate     int           // bytes a second
	slack    time.Duration // what a body has in any case
	bytes    int64
	begun    time.Time
	deadline time.Time
}

// newPace is the pace of the body of the request that w answers, whose deadline is being set.
func newPace(w http.ResponseWriter, cfg *HTTPConfig) pace {
	if cfg.BodyTimeout <= 0 || cfg.MinBodyRate <= 0 {
		return pace{}
	}
	now := time.Now()
	return pace{w: w, rate: cfg.MinBodyRate, slack: cfg.BodyTimeout, begun: now, deadline: now.Add(cfg.BodyTimeout)}
}

// read is told of n more bytes. It sets a deadline only when half the time is up: most bodies are
// here long before.
func (p *pace) read(n int) {
	if p.rate == 0 || n <= 0 {
		return
	}
	p.bytes += int64(n)
	if time.Until(p.deadline) > p.slack/2 {
		return
	}
	deadline := p.begun.Add(p.slack + time.Duration(float64(p.bytes)/float64(p.rate)*float64(time.Second)))
	if deadline.After(p.deadline) {
		p.deadline = deadline
		_ = http.NewResponseController(p.w).SetReadDeadline(deadline)
	}
}
