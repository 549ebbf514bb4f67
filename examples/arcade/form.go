package arcade

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// form has h answer a form that was posted from this site; others are refused. Browsers say
// where a form came from (Sec-Fetch-Site, or Origin); programs that say nothing of it are not
// somebody's browser and have no cookies to abuse.
func (s *site) form(h chassis.Handler) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.origin.Check(r); err != nil {
			return errForeign.Wrap(err)
		}
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return failure.UnsupportedMediaType.With("want", failure.Safe("application/x-www-form-urlencoded"))
		}
		if err := r.ParseForm(); err != nil {
			if large := failure.From(err); large.Code() == failure.TooLarge {
				return large
			}
			return errNoForm.Wrap(err)
		}
		if err := checkID(r.PathValue("id")); err != nil {
			return err
		}
		for field, values := range r.PostForm {
			if !utf8.ValidString(strings.Join(values, "")) {
				return wrong(strings.ToValidUTF8(field, "?"), "it must be text in UTF-8")
			}
		}
		// The service takes ids of 64 characters; one wish may need several calls.
		if id := r.PostForm.Get("request_id"); !request.ValidID(id) || len(id) > 60 {
			return wrong("request_id", "it must have 1 to 60 letters, digits, dots, hyphens or underscores")
		}
		return h(w, r)
	}
}

// wrong is the failure of one field of a form.
func wrong(field, want string) error {
	return errForm.With("field", failure.Safe(strings.ReplaceAll(field, "_", " ")+": "+want))
}

func sideField(r *http.Request) (gamev1.Side, error) {
	side := parseSide(r.PostForm.Get("side"))
	if side == gamev1.Side_SIDE_UNSPECIFIED {
		return side, wrong("side", "choose red or yellow")
	}
	return side, nil
}

// opponentField is the bot to play against, nil for a person.
func opponentField(r *http.Request) (*gamev1.Bot, error) {
	switch r.PostForm.Get("opponent") {
	case "human":
		return nil, nil
	case "easy":
		return &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}, nil
	case "medium":
		return &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_MEDIUM}, nil
	case "hard":
		return &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_HARD}, nil
	}
	return nil, wrong("opponent", "choose human, easy, medium or hard")
}

// limits are the turn limits that the form offers.
var limits = []time.Duration{0, 30 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour}

// limitField is how long a turn may take, 0 for as long as one likes.
func limitField(r *http.Request) (time.Duration, error) {
	seconds, err := strconv.Atoi(r.PostForm.Get("limit"))
	for _, limit := range limits {
		if err == nil && limit == time.Duration(seconds)*time.Second {
			return limit, nil
		}
	}
	return 0, wrong("limit", "choose one of the turn limits offered")
}

// columnField is a column of the board, from 0.
func columnField(r *http.Request) (int32, error) {
	n, err := strconv.Atoi(r.PostForm.Get("column"))
	if err != nil || n < 1 || n > columns {
		return 0, wrong("column", "choose a column from 1 to 7")
	}
	return int32(n - 1), nil
}

func parseSide(s string) gamev1.Side {
	switch s {
	case "red":
		return gamev1.Side_SIDE_RED
	case "yellow":
		return gamev1.Side_SIDE_YELLOW
	}
	return gamev1.Side_SIDE_UNSPECIFIED
}

func sideWord(s gamev1.Side) string {
	switch s {
	case gamev1.Side_SIDE_RED:
		return "red"
	case gamev1.Side_SIDE_YELLOW:
		return "yellow"
	}
	return ""
}
