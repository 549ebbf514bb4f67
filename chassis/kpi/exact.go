package kpi

import (
	"math"
	"math/big"
)

// An exact is a sum of floats without rounding, so that the order and the grouping in which
// generations are added change nothing. That matters: 0.1+0.2+0.3 comes out smaller when it
// starts with 0.2+0.3, and a counter that falls by its last bit is to Prometheus a restart, after
// which the whole value counts once more. The zero value is an empty sum.
type exact struct {
	plain float64    // the sum, while a float holds it
	big   *big.Float // the sum from the first addition that a float would have rounded
	odd   float64    // the sum of what is not finite, zero without
}

// exactBits hold every sum of floats: from 2^1024, with room for 2^64 carries, to 2^-1074.
const exactBits = 1024 + 64 + 1074

func (s *exact) add(v float64) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		s.odd += v
		return
	case s.big == nil:
		// Knuth's TwoSum: lost is what rounding takes away from sum.
		sum := s.plain + v
		kept := sum - s.plain
		lost := (s.plain - (sum - kept)) + (v - kept)
		if lost == 0 {
			s.plain = sum
			return
		}
		s.big = new(big.Float).SetPrec(exactBits).SetFloat64(s.plain)
	}
	s.big.Add(s.big, new(big.Float).SetFloat64(v))
}

// value is the float nearest to the sum.
func (s *exact) value() float64 {
	switch {
	case s.odd != 0: // true of NaN
		return s.odd
	case s.big == nil:
		return s.plain
	}
	v, _ := s.big.Float64()
	return v
}

// parts are floats whose sum is exactly s: one, unless a single float would have to round.
func (s *exact) parts() []float64 {
	first := s.value()
	parts := []float64{first}
	if s.big == nil || math.IsNaN(first) || math.IsInf(first, 0) {
		return parts
	}
	rest := new(big.Float).Copy(s.big)
	for v := first; ; {
		rest.Sub(rest, new(big.Float).SetFloat64(v))
		if rest.Sign() == 0 {
			return parts
		}
		v, _ = rest.Float64()
		parts = append(parts, v)
	}
}
