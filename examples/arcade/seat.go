package arcade

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

const (
	seatCookie = "seat"
	nameCookie = "name"
	maxToken   = 256 // bytes
	maxName    = 40  // characters, as the contract says
)

// seat is the right to play one side of a game. The zero seat is that of somebody who watches.
type seat struct {
	side  gamev1.Side
	token string
}

func (s seat) taken() bool { return s.token != "" }

// seatOf is the seat that the browser holds in the game that the request is about: the cookie
// is sent for the addresses of that game only.
func seatOf(r *http.Request) seat {
	c, err := r.Cookie(seatCookie)
	if err != nil {
		return seat{}
	}
	word, token, _ := strings.Cut(c.Value, ".")
	side := parseSide(word)
	if side == gamev1.Side_SIDE_UNSPECIFIED || token == "" || len(token) > maxToken {
		return seat{}
	}
	return seat{side, token}
}

// keepSeat has the browser remember its seat in a game, for as long as is configured.
func (s *site) keepSeat(w http.ResponseWriter, r *http.Request, id string, st seat) {
	s.setCookie(w, r, seatCookie, sideWord(st.side)+"."+st.token, gamePath(id))
}

// keepName has the browser remember the name of its player, so that it is typed once.
func (s *site) keepName(w http.ResponseWriter, r *http.Request, name string) {
	if name != "" && utf8.RuneCountInString(name) <= maxName {
		s.setCookie(w, r, nameCookie, url.QueryEscape(name), "/")
	}
}

func nameOf(r *http.Request) string {
	c, err := r.Cookie(nameCookie)
	if err != nil {
		return ""
	}
	name, err := url.QueryUnescape(c.Value)
	if err != nil || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName {
		return ""
	}
	return name
}

func (s *site) setCookie(w http.ResponseWriter, r *http.Request, name, value, path string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: int(s.config.Seat.MaxAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.config.Seat.Secure || r.TLS != nil,
	})
}
