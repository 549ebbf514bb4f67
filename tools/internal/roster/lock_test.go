package roster_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/roster"
)

func TestALockIsReadInAnyOrderAndWrittenInOne(t *testing.T) {
	lock, err := roster.ParseLock([]byte("# head\n\nb 2 used \"x\"\nb 10 retired \"y \\\"z\\\" é\"\r\na 3 used \"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(lock.Text())
	if !strings.HasPrefix(text, "# Every failure code") || !strings.HasSuffix(text, "roadworthy failures check -w\na 3 used \"\"\nb 2 used \"x\"\nb 10 retired \"y \\\"z\\\" é\"\n") {
		t.Errorf("written as\n%s", text)
	}
}

func TestALineOfALockThatIsWrongIsNamed(t *testing.T) {
	for line, want := range map[string]string{
		"a 1 used":          `line 2: want SET NUMBER STATE "MESSAGE", got "a 1 used"`,
		"a b used \"x\"":    `line 2: want a number, got "b"`,
		"a 0 used \"x\"":    `line 2: want a number, got "0"`,
		"a 01 used \"x\"":   `line 2: want a number, got "01"`,
		"a 1 useless \"x\"": `line 2: want used or retired, got "useless"`,
		"a 1 used x":        `line 2: want a message in quotation marks, got x`,
		`a 1 used "\xff"`:   `line 2: want a message in quotation marks, got "\xff"`,
		"a 7 retired \"x\"": `line 2: a 7 stands on line 1 already: one of the two failures needs another number`,
		"<<<<<<< HEAD":      `line 2: want SET NUMBER STATE "MESSAGE", got "<<<<<<< HEAD"`,
	} {
		if _, err := roster.ParseLock([]byte("a 7 used \"x\"\n" + line + "\n")); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

func FuzzALockIsReadAgainAsItWasWritten(f *testing.F) {
	f.Add("game 1042 used \"the column is full\"\ngame 1043 retired \"a column is 0 to 6\"\n")
	f.Add("# a comment\n\na 1 used \"\\u00e9\\n\"")
	f.Add("a 1 used `raw`\na 1 used 'c'")
	f.Fuzz(func(t *testing.T, text string) {
		lock, err := roster.ParseLock([]byte(text))
		if err != nil {
			return
		}
		again, err := roster.ParseLock(lock.Text())
		if err != nil || !reflect.DeepEqual(again, lock) {
			t.Errorf("%q is read as %v, then as %v, %v", text, lock, again, err)
		}
		if lost := again.Lost(lock); len(lost) > 0 {
			t.Errorf("lost %q", lost)
		}
	})
}
