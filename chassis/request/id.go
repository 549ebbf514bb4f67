package request

import (
	"encoding/hex"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// IDLen is the length of an id that is made here.
const IDLen = len("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")

// NewID makes a request id: a UUID version 7 (RFC 9562), so that ids sort by time, with its
// 74 random bits read from rand. It panics when rand fails: a process that cannot read
// randomness must not go on.
func NewID(now time.Time, rand io.Reader) string {
	var random [10]byte
	read(rand, random[:])
	var id [IDLen]byte
	putID(&id, now, &random)
	return string(id[:])
}

func putID(id *[IDLen]byte, now time.Time, random *[10]byte) {
	var b [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	copy(b[6:], random[:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	hex.Encode(id[:8], b[:4])
	hex.Encode(id[9:13], b[4:6])
	hex.Encode(id[14:18], b[6:8])
	hex.Encode(id[19:23], b[8:10])
	hex.Encode(id[24:], b[10:])
	id[8], id[13], id[18], id[23] = '-', '-', '-', '-'
}

func read(rand io.Reader, b []byte) {
	if _, err := io.ReadFull(rand, b); err != nil {
		panic("request: reading randomness: " + err.Error())
	}
}

// Source makes what identifies requests, as [NewID], [NewTrace] and [Trace.Child] do, without
// allocating and without asking the system: that costs more than all the rest of an id. What it
// makes cannot be told from random, nor foretold from what it has made (ChaCha8,
// https://c2sp.org/chacha8rand). Make one with [NewSource]. It is safe for concurrent use.
type Source struct {
	mu   sync.Mutex
	rand *rand.ChaCha8
}

// NewSource returns a source of which seed, which must be random, decides what it makes.
func NewSource(seed [32]byte) *Source { return &Source{rand: rand.NewChaCha8(seed)} }

func (s *Source) take(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.rand.Read(b) // it has no errors
}

// Float64 is a random number from 0 up to 1, for those who need one beside ids.
func (s *Source) Float64() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(s.rand.Uint64()>>11) / (1 << 53)
}

// PutID writes an id, as [NewID] makes them, to id.
func (s *Source) PutID(id *[IDLen]byte, now time.Time) {
	var random [10]byte
	s.take(random[:])
	putID(id, now, &random)
}

// NewTrace begins a trace, as the function [NewTrace] does.
func (s *Source) NewTrace() Trace {
	var random [24]byte
	s.take(random[:])
	return newTrace(&random)
}

// Child is the place one hop further on than t, as [Trace.Child] has it.
func (s *Source) Child(t Trace) Trace {
	var span [8]byte
	s.take(span[:])
	return t.child(span)
}
