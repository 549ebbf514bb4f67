package plot_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/plot"
)

var update = flag.Bool("update", false, "write the golden file")

const header = "work_ms,load,queue,oracle,bounded_fifo,bounded_fifo_ten_times_too_deep,unbounded\n"

func ExampleGoodput() {
	_, err := plot.Goodput(strings.NewReader(header + "20,0.5,0.502,0.502,50 %,0.502,0.502\n"))
	fmt.Println(err)
	// Output: line 2, column 20: bounded_fifo is "50 %", want a number from 0 to 1.1
}

func TestThePictureIsTheCheckedInOne(t *testing.T) {
	data, err := os.Open("testdata/goodput.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	picture, err := plot.Goodput(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := golden.Sync(filepath.Join("testdata", "goodput.svg"), picture, *update); err != nil {
		t.Error(err)
	}
}

func TestALineRunsThroughWhatTheAxesSay(t *testing.T) {
	picture := draw(t, header+"20,0.1,1,0,0,0,0\n20,1,0.4,0,0,0,0\n20,10,0,0,0,0,0\n")
	place := func(label string) (x, y float64) {
		m := regexp.MustCompile(`<text x="([\d.]+)" y="([\d.]+)"[^>]*>` + label + `</text>`).FindStringSubmatch(picture)
		if m == nil {
			t.Fatalf("no label %q in\n%s", label, picture)
		}
		return number(t, m[1]), number(t, m[2])
	}
	line := regexp.MustCompile(`class="line ours" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"`).FindStringSubmatch(picture)
	if line == nil {
		t.Fatalf("no line of three points in\n%s", picture)
	}
	for i, at := range []struct{ load, goodput string }{{"0.1×", "1"}, {"1×", "0.4"}, {"10×", "0"}} {
		x, _ := place(at.load)
		_, y := place(at.goodput)
		y -= 4.5 // from the foot of a digit to its middle
		if gotX, gotY := number(t, line[1+2*i]), number(t, line[2+2*i]); gotX != x || gotY < y-0.01 || gotY > y+0.01 {
			t.Errorf("load %s, goodput %s is at %g, %g; the axes say %g, %g", at.load, at.goodput, gotX, gotY, x, y)
		}
	}
}

func TestEveryPictureIsWellFormedAndShortAndHasTicks(t *testing.T) {
	row := func(work int, load float64) string { return fmt.Sprintf("%d,%g,0,1.1,1,0.5,0.25\n", work, load) }
	var four strings.Builder
	for work := range 4 {
		for load := range 20 {
			four.WriteString(row(1+work, 0.5+float64(load)))
		}
	}
	for name, c := range map[string]struct {
		rows   string
		labels []string
	}{
		"one panel":                    {row(20, 0.5) + row(20, 1), []string{"Work takes 20 ms, as sized for", "0.5×", "1×"}},
		"four panels":                  {four.String(), []string{"Work takes 4 ms, 4 times as long", "0.5×", "10×"}},
		"the whole range of loads":     {row(1, 0.01) + row(1, 1000), []string{"0.01×", "1000×"}},
		"no round number between ends": {row(1, 1.25) + row(1, 1.75), []string{"1.25×", "1.75×"}},
		"a second panel that is quicker, with loads of its own": {
			row(20, 1) + row(20, 2) + row(15, 0.1) + row(15, 0.2), []string{"Work takes 15 ms, 0.75 times as long", "0.1×", "2×"}},
	} {
		t.Run(name, func(t *testing.T) {
			picture := draw(t, header+c.rows)
			if len(picture) > 30_000 || strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") || strings.Contains(picture, "%!") {
				t.Errorf("%d bytes:\n%s", len(picture), picture)
			}
			for _, label := range c.labels {
				if !strings.Contains(picture, ">"+label+"<") {
					t.Errorf("no label %q", label)
				}
			}
			for d := xml.NewDecoder(strings.NewReader(picture)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v\n%s", err, picture)
				}
			}
		})
	}
}

func TestWhatIsWrongInTheCSVIsSaidWithLineAndColumn(t *testing.T) {
	const good = "20,0.5,0.5,0.5,0.5,0.5,0.5\n20,1,1,1,1,1,1\n"
	for name, c := range map[string]struct{ csv, want string }{
		"empty":                 {"", "line 1, column 1: the file has ended, want two loads or more for a line"},
		"only a header":         {header, "line 2, column 1: the file has ended"},
		"another header":        {"load,goodput\n", `line 1, column 1: the header is "load,goodput", want "work_ms,load,queue`},
		"one load at the end":   {header + "20,1,1,1,1,1,1\n", "line 3, column 1: the file has ended"},
		"one load before":       {header + "20,1,1,1,1,1,1\n40,1,1,1,1,1,1\n", "line 3, column 1: work_ms 20 has ended after one load, want two for a line"},
		"a cell too few":        {header + "20,1,1,1,1,1\n", "line 2, column 12: the row has 6 cells, want 7"},
		"two cells too many":    {header + "20,1,1,1,1,1,1,2,3\n", "line 2, column 16: the row has 9 cells, want 7"},
		"a quote that is open":  {header + good + "20,2,1,1,1,1,\"1\n", `line 4, column 17: extraneous or missing " in quoted-field`},
		"a bare quote":          {header + `20,2,1",1,1,1,1`, `line 2, column 7: bare " in non-quoted-field`},
		"no time":               {header + ",1,1,1,1,1,1\n", `line 2, column 1: work_ms is "", want a whole number of milliseconds from 1 to 1000000`},
		"a time of zero":        {header + "0,1,1,1,1,1,1\n", `line 2, column 1: work_ms is "0"`},
		"a long time":           {header + "1000001,1,1,1,1,1,1\n", `line 2, column 1: work_ms is "1000001"`},
		"a time with a unit":    {header + "20ms,1,1,1,1,1,1\n", `line 2, column 1: work_ms is "20ms"`},
		"no load":               {header + "20,0,1,1,1,1,1\n", `line 2, column 4: load is "0", want a number from 0.01 to 1000`},
		"too much load":         {header + "20,1001,1,1,1,1,1\n", `line 2, column 4: load is "1001"`},
		"a load in words":       {header + "20,twice,1,1,1,1,1\n", `line 2, column 4: load is "twice"`},
		"a load that is NaN":    {header + "20,NaN,1,1,1,1,1\n", `line 2, column 4: load is "NaN"`},
		"goodput below 0":       {header + "20,1,-0.1,1,1,1,1\n", `line 2, column 6: queue is "-0.1", want a number from 0 to 1.1`},
		"goodput above 1.1":     {header + "20,1,1,1.2,1,1,1\n", `line 2, column 8: oracle is "1.2"`},
		"goodput that is NaN":   {header + "20,1,1,1,1,1,NaN\n", `line 2, column 14: unbounded is "NaN"`},
		"a cell behind a quote": {header + "20,1,\"1\",1,1,x,1\n", `line 2, column 14: bounded_fifo_ten_times_too_deep is "x"`},
		"loads that fall":       {header + good + "20,0.7,1,1,1,1,1\n", "line 4, column 4: load 0.7 comes after 1, want loads that rise"},
		"a load twice":          {header + good + "20,1,1,1,1,1,1\n", "line 4, column 4: load 1 comes after 1"},
		"a time that returns":   {header + good + strings.ReplaceAll(good, "20,", "40,") + "20,2,1,1,1,1,1\n", "line 6, column 1: work_ms is 20 again, want its rows together"},
		"a fifth time": {header + good + strings.ReplaceAll(good, "20,", "30,") + strings.ReplaceAll(good, "20,", "40,") + strings.ReplaceAll(good, "20,", "50,") + "60,1,1,1,1,1,1\n",
			"line 10, column 1: work_ms is 60, want at most 4 different ones"},
	} {
		t.Run(name, func(t *testing.T) {
			if picture, err := plot.Goodput(strings.NewReader(c.csv)); err == nil || picture != nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	bad := errors.New("no disk")
	if _, err := plot.Goodput(io.MultiReader(strings.NewReader(header), iotest.ErrReader(bad))); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
}

func TestSyncHoldsThePictureAgainstItsFigures(t *testing.T) {
	sync := func(files map[string]string, write bool) (root string, err error) {
		files["go.work"] = "go 1.26.0\n"
		root = treetest.Write(t, files)
		w, err := workspace.Load(root)
		if err != nil {
			t.Fatal(err)
		}
		return root, plot.Sync(t.Context(), w, write)
	}
	rows := header + "20,1,1,1,1,1,1\n20,2,1,1,1,1,1\n"
	if _, err := sync(map[string]string{}, true); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "read the figures to draw") {
		t.Errorf("without figures: %v", err)
	}
	if _, err := sync(map[string]string{plot.Data: "a\n"}, true); err == nil || !strings.HasPrefix(err.Error(), plot.Data+": line 1, column 1: ") {
		t.Errorf("with bad figures: %v", err)
	}
	_, err := sync(map[string]string{plot.Data: rows, plot.Picture: "<svg/>\n"}, false)
	if stale, ok := errors.AsType[*golden.StaleError](err); !ok || !strings.HasSuffix(filepath.ToSlash(stale.Path), plot.Picture) {
		t.Errorf("with an old picture: %v", err)
	}
	root, err := sync(map[string]string{plot.Data: rows, plot.Picture: "<svg/>\n"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := treetest.Read(t, root, plot.Picture); got != draw(t, rows) {
		t.Errorf("it wrote\n%s", got)
	}
}

func draw(t *testing.T, csv string) string {
	t.Helper()
	picture, err := plot.Goodput(strings.NewReader(csv))
	if err != nil {
		t.Fatal(err)
	}
	return string(picture)
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
