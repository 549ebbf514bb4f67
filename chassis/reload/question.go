//go:build unix

package reload

import (
	"context"
	"fmt"
	"os"
)

// ask says something to the supervisor and waits for the answer.
func (l *Link) ask(ctx context.Context, m message) (message, []*os.File, error) {
	q, err := l.begin(m)
	if err != nil {
		return message{}, nil, err
	}
	return q.wait(ctx)
}

// question is a message that is waiting for its answer.
type question struct {
	link    *Link
	id      uint64
	answers chan reply
	gone    <-chan struct{} // closed when the supervisor has died
}

// begin says something to the supervisor that is to be answered.
func (l *Link) begin(m message) (*question, error) {
	m.ID = l.last.Add(1)
	q := &question{link: l, id: m.ID, answers: make(chan reply, 1)}
	l.mu.Lock()
	up := l.up
	q.gone = l.gone
	l.answers[q.id] = q.answers
	l.mu.Unlock()
	err := errNoSupervisor
	if up != nil {
		err = up.send(m)
	}
	if err != nil {
		q.forget()
		return nil, err
	}
	return q, nil
}

// forget gives up waiting.
func (q *question) forget() {
	q.link.mu.Lock()
	delete(q.link.answers, q.id)
	q.link.mu.Unlock()
	select {
	case late := <-q.answers:
		closeFiles(late.files)
	default:
	}
}

// wait returns the answer.
func (q *question) wait(ctx context.Context) (message, []*os.File, error) {
	defer q.forget()
	select {
	case a := <-q.answers:
		return a.message, a.files, nil
	case <-q.gone:
		select {
		case a := <-q.answers: // its last word
			return a.message, a.files, nil
		default:
			return message{}, nil, errNoSupervisor
		}
	case <-ctx.Done():
		return message{}, nil, fmt.Errorf("the supervisor does not answer: %w", context.Cause(ctx))
	}
}
