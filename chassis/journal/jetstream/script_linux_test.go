package jetstream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

// A script plays JetStream, as far as a journal needs it, at a server that has none: it stores what it is
// sent, and answers as a test wants where the real one does so only in rare moments.
type script struct {
	t    *testing.T
	url  string
	conn *nats.Conn

	mu      sync.Mutex
	configs map[string]json.RawMessage
	stored  map[string][]*nats.Msg // by stream; the i-th has sequence number i+1
	batch   []*nats.Msg
	lag     int // of what was stored last, how much direct gets do not show
	hooks   []hook
}

// A hook answers one request whose subject begins with prefix. It returns false to have the next hook, or
// the script, answer. It may store the message of the request itself.
type hook struct {
	prefix string
	answer func(m *nats.Msg) bool
}

const (
	directGet  = "$JS.API.DIRECT.GET."
	messageGet = "$JS.API.STREAM.MSG.GET."
	createJ    = "$JS.API.STREAM.CREATE."
	infoJ      = "$JS.API.STREAM.INFO."
	eventsOfJ  = "journal.J.event."
	stateOfJ   = "journal.J.state."
)

func startScript(t *testing.T) *script {
	t.Helper()
	host := natscluster.StartPlain(t, 2<<20)
	s := &script{t: t, url: "nats://" + host + "/J", configs: map[string]json.RawMessage{}, stored: map[string][]*nats.Msg{}}
	var err error
	if s.conn, err = nats.Connect("nats://" + host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.conn.Close)
	for _, subject := range []string{"$JS.API.>", "journal.J.event.*", "journal.J.state.*.*"} {
		if _, err := s.conn.Subscribe(subject, s.serve); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// on has the next request with the prefix answered by f, once f returns true.
func (s *script) on(prefix string, f func(m *nats.Msg) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, hook{prefix, f})
}

// silence loses the next n requests with the prefix.
func (s *script) silence(prefix string, n int) {
	for range n {
		s.on(prefix, func(*nats.Msg) bool { return true })
	}
}

// refuse has the next request with the prefix refused.
func (s *script) refuse(prefix string, code int, why string) {
	s.on(prefix, func(m *nats.Msg) bool { return s.fail(m, code, why) })
}

func (s *script) fail(m *nats.Msg, code int, why string) bool {
	s.reply(m, fmt.Sprintf(`{"error":{"code":400,"err_code":%d,"description":%q}}`, code, why))
	return true
}

// sent wants that something was sent, until the test has ended.
func (s *script) sent(err error) {
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		s.t.Error(err)
	}
}

func (s *script) reply(m *nats.Msg, body string) {
	if m.Reply != "" {
		s.sent(m.Respond([]byte(body)))
	}
}

// pending is how many hooks were not asked for.
func (s *script) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hooks)
}

func (s *script) serve(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range s.hooks {
		// Only the end of a batch is answered.
		if strings.HasPrefix(m.Subject, h.prefix) && m.Reply != "" && h.answer(m) {
			s.hooks = append(s.hooks[:i:i], s.hooks[i+1:]...)
			if strings.HasPrefix(m.Subject, eventsOfJ) {
				s.batch = nil
			}
			return
		}
	}
	last := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	switch {
	case strings.HasPrefix(m.Subject, createJ):
		s.configs[last] = append(json.RawMessage{}, m.Data...)
		s.info(m, last)
	case strings.HasPrefix(m.Subject, infoJ):
		s.info(m, last)
	case strings.HasPrefix(m.Subject, messageGet):
		s.get(m, last)
	case strings.HasPrefix(m.Subject, directGet):
		s.direct(m, last)
	case strings.HasPrefix(m.Subject, "journal."):
		s.publish(m)
	}
}

func (s *script) info(m *nats.Msg, stream string) {
	if s.configs[stream] == nil {
		s.fail(m, 10059, "stream not found")
		return
	}
	s.reply(m, fmt.Sprintf(`{"type":"io.nats.jetstream.api.v1.stream_info_response","config":%s,"state":{}}`, s.configs[stream]))
}

func matches(pattern, subject string) bool {
	return pattern == "" || pattern == ">" || pattern == subject || strings.HasSuffix(pattern, "*") && strings.HasPrefix(subject, pattern[:len(pattern)-1])
}

type ask struct {
	Seq      int    `json:"seq"`
	LastFor  string `json:"last_by_subj"`
	NextFor  string `json:"next_by_subj"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

func (s *script) get(m *nats.Msg, stream string) {
	var q ask
	if err := json.Unmarshal(m.Data, &q); err != nil {
		s.t.Error(err)
	}
	found := 0
	for i, e := range s.stored[stream] {
		seq := i + 1
		switch {
		case q.LastFor != "" && matches(q.LastFor, e.Subject):
			found = seq
		case q.LastFor == "" && q.NextFor == "" && seq == q.Seq, q.NextFor != "" && found == 0 && seq >= q.Seq && matches(q.NextFor, e.Subject):
			found = seq
		}
	}
	if found == 0 {
		s.fail(m, 10037, "no message found")
		return
	}
	s.answer(m, stream, found)
}

// answer answers with a message.
func (s *script) answer(m *nats.Msg, stream string, seq int) {
	e := s.stored[stream][seq-1]
	body, err := json.Marshal(map[string]any{"message": map[string]any{"subject": e.Subject, "seq": seq, "data": e.Data}})
	if err != nil {
		s.t.Error(err)
	}
	s.reply(m, string(body))
}

func (s *script) direct(m *nats.Msg, stream string) {
	var q ask
	if err := json.Unmarshal(m.Data, &q); err != nil {
		s.t.Error(err)
	}
	before, events, bytes := 0, 0, 0
	for i, e := range s.stored[stream][:len(s.stored[stream])-s.lag] {
		if seq := i + 1; seq >= q.Seq && matches(q.NextFor, e.Subject) && events < q.Batch && bytes < q.MaxBytes {
			s.send(m, e, seq, before)
			before = seq
			events++
			bytes += len(e.Data)
		}
	}
	if before == 0 {
		s.status(m, "404", "Message Not Found")
	} else {
		s.status(m, "204", "EOB")
	}
}

// send sends one message of a batch.
func (s *script) send(m, e *nats.Msg, seq, before int) {
	header := nats.Header{"Nats-Subject": {e.Subject}, "Nats-Sequence": {strconv.Itoa(seq)}, "Nats-Last-Sequence": {strconv.Itoa(before)}}
	s.sent(s.conn.PublishMsg(&nats.Msg{Subject: m.Reply, Header: header, Data: e.Data}))
}

// status ends a batch.
func (s *script) status(m *nats.Msg, code, why string) {
	s.sent(s.conn.PublishMsg(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {code}, "Description": {why}}}))
}

// publish stores a message, or at its end a batch of them.
func (s *script) publish(m *nats.Msg) {
	stream := "J"
	if strings.HasPrefix(m.Subject, stateOfJ) {
		stream = "J-state"
	}
	s.batch = append(s.batch, m)
	if m.Reply == "" {
		return
	}
	batch := s.batch
	s.batch = nil
	for _, e := range batch {
		expected := e.Header.Get("Nats-Expected-Last-Subject-Sequence")
		at := 0
		for i, there := range s.stored[stream] {
			if there.Subject == e.Subject {
				at = i + 1
			}
		}
		if expected != "" && expected != strconv.Itoa(at) {
			s.fail(m, 10071, fmt.Sprint("wrong last sequence: ", at))
			return
		}
	}
	s.store(stream, batch...)
	s.reply(m, fmt.Sprintf(`{"stream":%q,"seq":%d}`, stream, len(s.stored[stream])))
}

func (s *script) store(stream string, messages ...*nats.Msg) {
	s.stored[stream] = append(s.stored[stream], messages...)
}

// keep stores the message of a request and loses the answer.
func (s *script) keep(m *nats.Msg) bool {
	stream := "J"
	if strings.HasPrefix(m.Subject, stateOfJ) {
		stream = "J-state"
	}
	s.store(stream, m)
	return true
}

// notice tells, as the leader does, that the message with the sequence number is stored.
func (s *script) notice(stream string, seq int) {
	s.sent(s.conn.PublishMsg(&nats.Msg{Subject: "journal.J.tail." + stream, Header: nats.Header{"Nats-Sequence": {strconv.Itoa(seq)}}}))
}

// note is an event.
func note(id, data string) journal.Event {
	return journal.Event{ID: id, Type: "noted", Data: []byte(data)}
}
