package report_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/report"
)

// One core reads this much of a log in a second: go test -bench Report ./tools/report.
func BenchmarkReport(b *testing.B) {
	for name, format := range map[string]string{
		"combined":                "combined",
		"combined with durations": `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`,
		"routes and ids":          `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D %{route}x %{failure}x %{request_id}x`,
	} {
		var log bytes.Buffer
		write(b, &log, format, 200_000, 500)
		layout, err := report.NewLayout(format)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(log.Len()))
			b.ReportAllocs()
			for b.Loop() {
				c, r := report.NewCollector(report.Options{}), report.NewLineReader(layout)
				var hit report.Hit
				if _, err := report.Lines(bytes.NewReader(log.Bytes()), func(text []byte, err error) {
					if err == nil {
						err = r.Read(text, &hit)
					}
					if err != nil {
						b.Fatal(err)
					}
					c.Add(layout, &hit)
				}); err != nil {
					b.Fatal(err)
				}
				if err := c.Report(report.ByTime, 50, start.Location()).WriteText(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
