package kpi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// MaxSnapshot bounds the bytes of one snapshot. That of 500 routes, what [Options] admit by
// default, is 0.2 MB as long as each has one method and answers with one code.
const MaxSnapshot = 16 << 20

// Snapshot returns what g counts at this moment as bytes that [Merger.Merge] reads: each metric
// family as a protobuf message of Prometheus's client model with its length before it. When g
// cannot collect some metrics, the others are returned together with the error. More than
// [MaxSnapshot] bytes are an error, and no snapshot.
func Snapshot(g prometheus.Gatherer) ([]byte, error) {
	families, err := g.Gather()
	if err != nil {
		err = fmt.Errorf("snapshot of metrics: %w", err)
	}
	data, encodeErr := encode(families)
	return data, errors.Join(err, encodeErr)
}

// encode is the reverse of decode.
func encode(families []*dto.MetricFamily) ([]byte, error) {
	var b bytes.Buffer
	for _, f := range families {
		if _, err := protodelim.MarshalTo(&b, f); err != nil {
			return nil, fmt.Errorf("snapshot of metrics: encode %s: %w", f.GetName(), err)
		}
	}
	if b.Len() > MaxSnapshot {
		return nil, fmt.Errorf("snapshot of metrics: %w", tooLarge(b.Len()))
	}
	return b.Bytes(), nil
}

func tooLarge(size int) error {
	return fmt.Errorf("%d bytes, but %d are the most", size, MaxSnapshot)
}

// decode reads a snapshot whole, or not at all: half of one would make counters fall.
func decode(data []byte) ([]*dto.MetricFamily, error) {
	if len(data) > MaxSnapshot {
		return nil, tooLarge(len(data))
	}
	r := bytes.NewReader(data)
	options := protodelim.UnmarshalOptions{MaxSize: int64(len(data))}
	options.DiscardUnknown = true
	var families []*dto.MetricFamily
	for {
		f := new(dto.MetricFamily)
		if err := options.UnmarshalFrom(r, f); err == io.EOF {
			return families, nil
		} else if err != nil {
			return nil, fmt.Errorf("metric family %d: %w", len(families)+1, err)
		}
		if err := check(f); err != nil {
			return nil, fmt.Errorf("metric family %d, %q: %w", len(families)+1, f.GetName(), err)
		}
		families = append(families, f)
	}
}

// check refuses what no Gatherer returns and no encoder takes. It sorts the labels.
func check(f *dto.MetricFamily) error {
	if f.GetName() == "" || !utf8.ValidString(f.GetName()) {
		return errors.New("not a name")
	}
	for _, m := range f.GetMetric() {
		if !hasValue(f.GetType(), m) {
			return fmt.Errorf("a metric without the value of a %s", kind(f.GetType()))
		}
		if err := checkNative(m.GetHistogram()); err != nil {
			return err
		}
		sortLabels(m.GetLabel())
		for i, l := range m.GetLabel() {
			if l.GetName() == "" || !utf8.ValidString(l.GetName()) || !utf8.ValidString(l.GetValue()) {
				return fmt.Errorf("the label %q=%q is not one", l.GetName(), l.GetValue())
			}
			if i > 0 && m.GetLabel()[i-1].GetName() == l.GetName() {
				return fmt.Errorf("two labels %q", l.GetName())
			}
		}
	}
	return nil
}

// hasValue reports whether m has the value that its family's type promises.
func hasValue(t dto.MetricType, m *dto.Metric) bool {
	switch t {
	case dto.MetricType_COUNTER:
		return m.Counter != nil
	case dto.MetricType_GAUGE:
		return m.Gauge != nil
	case dto.MetricType_SUMMARY:
		return m.Summary != nil
	case dto.MetricType_UNTYPED:
		return m.Untyped != nil
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return m.Histogram != nil
	}
	return false
}

// kind is the type of a family as the text format spells it.
func kind(t dto.MetricType) string { return strings.ToLower(t.String()) }
