package wire_test

import (
	"net"
	"testing"

	"github.com/seed-754044b3/roadworthy/fake/internal/wire"
)

// sealed stands for TLS: on the wire every byte is another one.
type sealed struct{ net.Conn }

func (s sealed) Write(b []byte) (int, error) { return s.Conn.Write([]byte(turned(string(b)))) }

// turned is what sealed makes of a text, and of that again the text.
func turned(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] ^= 0xff
	}
	return string(b)
}

func TestGoAwayStrikesInsideOfTLSAndAllElseOutside(t *testing.T) {
	p := connect(t)
	in := p.Inside(sealed{p.Conn})
	say := func(s string) {
		t.Helper()
		if n, err := in.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if got := turned(p.next(t, len(s))); got != s {
			t.Errorf("the client gets %q, want %q", got, s)
		}
	}
	settings, data := frame(4, "123456"), frame(0, "some data")
	say(settings)
	struck := 0
	p.Arm(wire.Trouble{Kind: wire.GoAway, Now: true, Struck: func() { struck++ }})
	if got := turned(p.next(t, len(goAway))); got != goAway || struck != 1 {
		t.Errorf("%q; it struck %d times", got, struck)
	}
	p.Arm(wire.Trouble{Kind: wire.GoAway, At: 3, Struck: func() { struck++ }})
	if _, err := in.Write([]byte(data + data)); err != nil {
		t.Error(err)
	}
	if want, got := data+goAway+data, turned(p.next(t, len(data+goAway+data))); got != want || struck != 2 {
		t.Errorf("%q, want %q; it struck %d times", got, want, struck)
	}
	p.Arm(wire.Trouble{Kind: wire.Garbage, At: 4})
	if _, err := in.Write([]byte(data)); err == nil {
		t.Error("the server is not told of the end")
	}
	if got, err := p.rest(); err != nil || turned(got[:4]) != data[:4] || got[4:7] != "\xff\xfe\x00" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTroubleInsideOfTLSEndsWithTheAnswerAndWithTheConnection(t *testing.T) {
	p := connect(t)
	var over []bool
	trouble := wire.Trouble{Kind: wire.GoAway, At: 100, Answer: true, Over: func(delivered bool) { over = append(over, delivered) }}
	in := p.Inside(sealed{p.Conn})
	p.Arm(trouble)
	p.Calm()
	if len(over) != 1 || !over[0] {
		t.Errorf("after the answer: %v", over)
	}
	p.Arm(trouble)
	p.Close()
	in.Close()
	if len(over) != 2 || over[1] || p.closed.Load() != 1 {
		t.Errorf("after the end: %v", over)
	}
	p.Inside(sealed{p.Conn})
	if p.Arm(trouble) {
		t.Error("there is trouble after the end")
	}
}
