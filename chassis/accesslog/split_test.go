package accesslog_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

func ExampleSplit() {
	directives, tail, err := accesslog.Split(`%h "%!200{Referer}i" %{balancer}n.`)
	for _, d := range directives {
		fmt.Printf("column %d: %q, then %s: %c of %q\n", d.Column, d.Text, d.Name, d.Letter, d.Arg)
	}
	fmt.Printf("%q %v\n", tail, err)
	// Output:
	// column 1: "", then %h: h of ""
	// column 5: " \"", then %!200{Referer}i: i of "Referer"
	// column 22: "\" ", then %{balancer}n: n of "balancer"
	// "." <nil>
}

func TestANicknameIsSplitAsItsFormat(t *testing.T) {
	long := `%h %l %u %t "%r" %>s %b`
	want, wantTail, err := accesslog.Split(long)
	if err != nil {
		t.Fatal(err)
	}
	got, tail, err := accesslog.Split("common")
	if err != nil || !slices.Equal(got, want) || tail != wantTail || len(got) != 7 {
		t.Errorf("%+v %q %v", got, tail, err)
	}
}

func TestAFormatThatCannotBeTakenApartIsRefusedWithTheColumn(t *testing.T) {
	for format, want := range map[string]string{
		`%h %{Referer`: "access log format: column 5: the brace is not closed: want the argument of a directive in braces, such as %{Referer}i",
		`%h \q`:        `access log format: column 4: "\\q" is no escape: want \n, \r, \t, \\ or \"`,
		`%h %`:         `access log format: column 4: "%" ends inside a directive: want a letter such as h, or %% for a percent sign`,
	} {
		if _, _, err := accesslog.Split(format); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", format, err, want)
		}
	}
}
