package arcade_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
)

// check runs arcaded -check with flags and returns its exit code and what it said.
func check(t *testing.T, flags ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := chassis.Run(t.Context(), arcade.Spec, append([]string{"-check"}, flags...), nil, &out, &out)
	return code, out.String()
}

func TestTheDefaultConfigurationIsGood(t *testing.T) {
	t.Parallel()
	if code, says := check(t); code != 0 || says != "configuration ok\n" {
		t.Errorf("exit code %d: %s", code, says)
	}
	if code, says := check(t, "-public_url", "https://play.example", "-seat.max_age", "24h"); code != 0 {
		t.Errorf("exit code %d: %s", code, says)
	}
}

func TestABadConfigurationIsRefusedWithTheKeyAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flag, value, says string }{
		{"-public_url", "play.example", "such as https://play.example.com"},
		{"-public_url", "ftp://play.example", "such as https://play.example.com"},
		{"-public_url", "https://play.example/lobby", "scheme and host only"},
		{"-public_url", "https://user@play.example", "scheme and host only"},
		{"-public_url", "https://%", "scheme and host only"},
		{"-seat.max_age", "1ms", "1s to 9600h"},
		{"-seat.max_age", "99999h", "1s to 9600h"},
		{"-http.addr", "nowhere", "host:port"},
		{"-game.addr", "", "the address of the service to call"},
	} {
		code, says := check(t, c.flag, c.value)
		if code != 1 || !strings.Contains(says, c.says) || !strings.Contains(says, strings.TrimPrefix(c.flag, "-")) {
			t.Errorf("%s %q: exit code %d, says %q; want 1 and %q", c.flag, c.value, code, says, c.says)
		}
	}
}

func TestAnArcadeWhoseAddressIsTakenSaysSo(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, err := chassis.Start(t.Context(), arcade.Spec, func(s *chassis.Settings, c *arcade.Config) {
		s.Admin.Addr = "off"
		c.HTTP.Addr = strings.TrimPrefix(w.url, "http://")
	}, chassis.World{Stderr: &lines{}, Stdout: &lines{}})
	if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(w.url, "http://")) {
		t.Errorf("the error is %v, want one that names the address", err)
	}
}

func TestAgesAndClocksAreToldInTheUnitsOfPeople(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "86400").says("Turn limit: 1 day").game()
	ben.get("/").says("1 day a turn · just now")
	w.game.Advance(61 * time.Second)
	ben.get("/").says("1 minute ago")
	w.game.Advance(3 * time.Hour)
	ben.get("/").says("3 hours ago")
	w.game.Advance(24 * time.Hour)
	ben.get("/").says("1 day ago")
	ben.join(path, "Ben", "yellow").says("24:00:00")
	w.game.Advance(time.Hour)
	ben.get(path).says("23:00:00")
}

func TestEveryEndingIsToldToEverybody(t *testing.T) {
	t.Parallel()
	t.Run("a draw", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		ann, ben := w.visitor(), w.visitor()
		path := ann.create("Ann", "red", "human", "0").game()
		ben.join(path, "Ben", "yellow")
		// Three columns' discs alternate; the fourth to last are filled so that no line of four
		// comes about.
		moves := "121212" + "212121" + "343434" + "434343" + "565656" + "656565" + "777777"
		for i, column := range strings.Split(moves, "") {
			who := ann
			if i%2 == 1 {
				who = ben
			}
			who.get(path).drop(column)
		}
		ann.get(path).says("A draw: the board is full")
		w.visitor().get("/").says("A draw: the board is full")
	})
	t.Run("nobody came", func(t *testing.T) {
		t.Parallel()
		w := start(t)
		ann := w.visitor()
		path := ann.create("Ann", "red", "human", "0").game()
		w.game.Advance(15 * 24 * time.Hour)
		ann.get(path).says("Nobody won: the game was left for too long", "Ann waits for an opponent")
		w.visitor().get("/").says("Nobody won: the game was left for too long")
	})
}
