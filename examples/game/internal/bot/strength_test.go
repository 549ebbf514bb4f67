package bot_test

import (
	"encoding/json"
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
)

func TestStrengthsAreWrittenAndReadByName(t *testing.T) {
	for name, strength := range map[string]bot.Strength{"easy": bot.Easy, "medium": bot.Medium, "hard": bot.Hard} {
		if strength.String() != name {
			t.Errorf("%d is called %v, want %s", strength, strength, name)
		}
		text, err := json.Marshal(strength)
		if err != nil || string(text) != `"`+name+`"` {
			t.Errorf("%v is written %s, %v", strength, text, err)
		}
		var back bot.Strength
		if err := json.Unmarshal(text, &back); err != nil || back != strength {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
	}
}

func TestUnknownStrengthsAreRefused(t *testing.T) {
	strength := bot.Hard
	for _, text := range []string{"", "HARD", "harder", "Strength(3)"} {
		err := strength.UnmarshalText([]byte(text))
		if err == nil || strength != bot.Hard {
			t.Errorf("%q is read as %v, %v", text, strength, err)
		}
	}
	err := strength.UnmarshalText([]byte("HARD"))
	if want := `decode the strength of a bot: "HARD" is none of easy, medium, hard`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, unknown := range []bot.Strength{0, 4} {
		if text, err := unknown.MarshalText(); err == nil {
			t.Errorf("%v is written %s", unknown, text)
		}
	}
	if got := bot.Strength(4).String(); got != "Strength(4)" {
		t.Errorf("got %s, want Strength(4)", got)
	}
}
