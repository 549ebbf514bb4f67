package kpi

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// A Bound says on which side of an objective's value a KPI is to stay.
type Bound string

// The bounds. The zero Bound is AtMost.
const (
	AtMost  Bound = "at_most"
	AtLeast Bound = "at_least"
)

// An Objective is what a KPI is held against: generators of alerts and dashboards read it from
// -describe, people from the status page. The zero Objective is none.
type Objective struct {
	// Bound and Value are the limit: of a gauge's value, of a counter's rate in 1/s, or of a
	// histogram's quantile.
	Bound Bound   `json:"bound"`
	Value float64 `json:"value"`
	// Quantile is which one of a histogram's, 0.99 by default.
	Quantile float64 `json:"quantile,omitempty"`
	// Window is what the rate or the quantile is taken over, and how long a gauge may be beyond
	// its limit: 5 min by default.
	Window time.Duration `json:"window_ns"`
	// Why says what it means to users when the objective is missed.
	Why string `json:"why,omitempty"`
}

// complete fills in the defaults for a KPI of a kind, and panics when the objective makes no
// sense: it is written in the code.
func (o Objective) complete(name string, k kpiKind) *Objective {
	if o.Bound == "" {
		o.Bound = AtMost
	}
	if o.Window == 0 {
		o.Window = 5 * time.Minute
	}
	if k == histogramKPI && o.Quantile == 0 {
		o.Quantile = 0.99
	}
	switch {
	case o.Bound != AtMost && o.Bound != AtLeast:
		panic(fmt.Sprintf("kpi: the objective of %s: bound is %q, want at_most or at_least", name, o.Bound))
	case math.IsNaN(o.Value) || math.IsInf(o.Value, 0):
		panic(fmt.Sprintf("kpi: the objective of %s: value is %v, want a finite number", name, o.Value))
	case o.Window < 0:
		panic(fmt.Sprintf("kpi: the objective of %s: window is %v, want more than 0", name, o.Window))
	case k != histogramKPI && o.Quantile != 0:
		panic(fmt.Sprintf("kpi: the objective of %s: only a histogram has a quantile", name))
	case k == histogramKPI && !(o.Quantile > 0 && o.Quantile < 1):
		panic(fmt.Sprintf("kpi: the objective of %s: quantile is %v, want one between 0 and 1", name, o.Quantile))
	}
	return &o
}

// String is the objective in words: "at most 0.5 over 5m0s".
func (o Objective) String() string {
	side := "at most"
	if o.Bound == AtLeast {
		side = "at least"
	}
	s := fmt.Sprintf("%s %s over %s", side, strconv.FormatFloat(o.Value, 'g', -1, 64), o.Window)
	if o.Quantile != 0 {
		s = fmt.Sprintf("p%s %s", strconv.FormatFloat(o.Quantile*100, 'g', 6, 64), s)
	}
	return s
}
