package kpi

import (
	"fmt"
	"slices"
	"strings"
)

// suffixesTaken end names that the formats of Prometheus make themselves.
var suffixesTaken = []string{"_total", "_count", "_sum", "_bucket", "_created", "_info"}

// otherUnits are units in which Prometheus does not measure
// (https://prometheus.io/docs/practices/naming/#base-units), and what it takes instead.
var otherUnits = map[string]string{
	"ms": "seconds", "milliseconds": "seconds", "microseconds": "seconds", "nanoseconds": "seconds", "minutes": "seconds", "hours": "seconds", "days": "seconds",
	"kb": "bytes", "mb": "bytes", "gb": "bytes", "kilobytes": "bytes", "megabytes": "bytes", "gigabytes": "bytes", "bits": "bytes",
	"percent": "ratio", "percentage": "ratio",
}

// checkName says what is wrong with the name of a KPI, as it is declared: without _total.
func checkName(name string) error {
	if err := checkWord(name); err != nil {
		return err
	}
	for _, suffix := range suffixesTaken {
		if base, found := strings.CutSuffix(name, suffix); found {
			return fmt.Errorf("%s belongs to what Prometheus makes of a name; want %s", suffix, base)
		}
	}
	for word := range strings.SplitSeq(name, "_") {
		if base := otherUnits[word]; base != "" {
			return fmt.Errorf("%s is no base unit of Prometheus; want %s", word, base)
		}
	}
	if describesProcess(name) {
		return fmt.Errorf("names that begin with go_ or process_ describe a process and not the service")
	}
	return nil
}

// checkLabels says what is wrong with the names of labels.
func checkLabels(labels []string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%d labels; %d are the most", len(labels), maxLabels)
	}
	for i, l := range labels {
		if err := checkWord(l); err != nil {
			return fmt.Errorf("label %q: %w", l, err)
		}
		switch l {
		case "le", "quantile", "worker", "job", "instance":
			return fmt.Errorf("label %q: scrapers and the chassis set it themselves", l)
		}
		if slices.Contains(labels[:i], l) {
			return fmt.Errorf("label %q: it is there twice", l)
		}
	}
	return nil
}

// checkWord says what is wrong with a name of either kind.
func checkWord(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_') })
	switch {
	case name == "":
		return fmt.Errorf("it is empty; want something like games_started")
	case bad >= 0, !(name[0] >= 'a' && name[0] <= 'z'), strings.Contains(name, "__"), strings.HasSuffix(name, "_"):
		return fmt.Errorf("want words of a-z and 0-9 with one _ between them, such as games_started")
	}
	return nil
}
