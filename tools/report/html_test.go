package report_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestThePageNeedsNothingElseAndItsDrawingsAreWellFormed(t *testing.T) {
	hostile := "GET /<script>alert(1)</script> 500 5 [28/Nov/2026:09:00:01 +0000]\n</section>\n"
	for name, c := range map[string]struct{ format, log string }{
		"all":           {full, sample(t, full, 3000)},
		"no durations":  {"combined", sample(t, "combined", 300)},
		"many a second": {"%t %s", strings.Repeat("[28/Nov/2026:09:00:01 +0000] 200\n", 2500)},
		"one line":      {"%t %s %D", "[28/Nov/2026:09:00:01 +0000] 200 0\n"},
		"no times":      {"%m %U %s %D", "GET / 200 1500\n"},
		"nothing":       {"combined", ""},
		"hostile lines": {"%m %U %s %D %t", hostile},
		"a day":         {"%t %s %D", "[28/Nov/2026:09:00:01 +0000] 200 1\n[29/Nov/2026:09:00:01 +0000] 200 9000000\n"},
		"a month":       {"%t %s %D", "[28/Oct/2026:09:00:01 +0000] 200 1\n[29/Nov/2026:09:00:01 +0000] 200 9000000\n"},
		"years":         {"%t %s %D", "[28/Oct/2016:09:00:01 +0000] 200 1\n[29/Nov/2026:09:00:01 +0000] 200 9000000\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, page, errs := run(c.log, "-as", "html", "-bad", "100", "-format", c.format, "-")
			if code != 0 || errs != "" {
				t.Fatal(code, errs)
			}
			if !strings.HasSuffix(page, "</html>\n") || strings.Contains(page, "NaN") || strings.Contains(page, "Inf") || strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "alert(1)</script>") {
				t.Errorf("%s", page)
			}
			if m := regexp.MustCompile(`(src|href)="[^#"][^"]*"|url\(|@import`).FindString(page); m != "" {
				t.Errorf("the page needs %s", m)
			}
			drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
			for _, svg := range drawings {
				d := xml.NewDecoder(strings.NewReader(svg))
				for {
					_, err := d.Token()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatalf("%v\n%s", err, svg)
					}
				}
			}
			if name == "all" && len(drawings) != 4+2*len(pages) {
				t.Errorf("%d drawings", len(drawings))
			}
		})
	}
}

func TestAPageThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, kind := range []string{"html", "text", "json"} {
		var said strings.Builder
		if code := runTo(brokenPipe{}, &said, sample(t, full, 10), "-as", kind, "-format", full, "-"); code != 2 || !strings.Contains(said.String(), "broken pipe") {
			t.Errorf("%s: %d %s", kind, code, &said)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, fmt.Errorf("broken pipe") }
