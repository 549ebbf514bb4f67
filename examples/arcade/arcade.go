package arcade

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// Spec is the arcade as a service: chassis.Main(arcade.Spec) runs it.
var Spec = chassis.Spec[Config]{
	Name: "arcade",
	Doc:  "web pages to play Connect Four on, served from the game service",
	Defaults: Config{
		HTTP: chassis.HTTPConfig{Addr: "127.0.0.1:8000", Compress: true},
		Game: grpcclient.Config{Addr: "127.0.0.1:9090"},
	},
	Failures: failures,
	Setup:    setup,
}

// Config is what can be set. A zero field means its default.
type Config struct {
	HTTP chassis.HTTPConfig `config:"http"`
	// Game is the game service. Its timeout bounds every call but the stream of a game's events.
	Game grpcclient.Config `config:"game"`
	Seat SeatConfig        `config:"seat"`
	// PublicURL is where players reach the pages, such as "https://play.example.com". It stands
	// in the links they share, and forms are taken from there beside the address that a request
	// names. Empty means the latter alone.
	PublicURL string `config:"public_url" doc:"where players reach the pages, if a proxy stands before them: https://host"`
}

// Validate refuses a public address that is no origin.
func (c *Config) Validate() error {
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return config.Invalid("public_url", "want scheme and host only, such as https://play.example.com, got %q", c.PublicURL)
	}
	return nil
}

// SeatConfig is the cookie that makes a browser the player of one side of one game.
type SeatConfig struct {
	// MaxAge is how long a browser keeps it, and so how long a game can be played on; 30 days
	// when 0.
	MaxAge time.Duration `config:"max_age" doc:"how long a browser remembers its seat in a game"`
	// Secure has browsers send it over TLS only. A listener with a certificate does so anyway.
	Secure bool `config:"secure" doc:"send the seat's cookie over TLS only; for use behind a proxy that ends TLS"`
}

// SetDefaults fills what is zero.
func (c *SeatConfig) SetDefaults() {
	if c.MaxAge == 0 {
		c.MaxAge = 30 * 24 * time.Hour
	}
}

// Validate refuses an age that a cookie cannot have.
func (c *SeatConfig) Validate() error {
	if c.MaxAge < time.Second || c.MaxAge > 400*24*time.Hour {
		return config.Invalid("max_age", "want 1s to 9600h (400 days, the most that browsers keep), got %v", c.MaxAge)
	}
	return nil
}

// maxForm bounds the body of a form; the largest holds a few hundred bytes.
const maxForm = 16 << 10

// site answers the requests.
type site struct {
	games  gamev1.GameServiceClient
	pages  *pages
	clock  clock.Clock
	rand   io.Reader
	config Config
	origin *http.CrossOriginProtection
}

func setup(_ context.Context, s *chassis.Service, cfg Config) error {
	conn, err := grpcclient.Dial(s, "game", cfg.Game)
	if err != nil {
		return err
	}
	pages, err := newPages()
	if err != nil {
		return err
	}
	assets, err := chassis.Static(assetFiles())
	if err != nil {
		return err
	}
	site := &site{
		games: gamev1.NewGameServiceClient(conn), pages: pages,
		clock: s.Clock(), rand: s.Rand(), config: cfg, origin: http.NewCrossOriginProtection(),
	}
	if cfg.PublicURL != "" {
		if err := site.origin.AddTrustedOrigin(cfg.PublicURL); err != nil {
			return err
		}
	}
	r := chassis.NewRouter()
	r.FailurePage(site.failurePage)
	r.Handle("GET /{$}", site.lobby)
	r.Handle("POST /games", site.form(site.create), chassis.MaxBody(maxForm))
	r.Handle("GET /games/{id}", site.game)
	r.Handle("GET /games/{id}/events", site.events, chassis.Stream())
	r.Handle("POST /games/{id}/join", site.form(site.join), chassis.MaxBody(maxForm))
	r.Handle("POST /games/{id}/drop", site.form(site.drop), chassis.MaxBody(maxForm))
	r.Handle("GET /games/{id}/resign", site.askResign)
	r.Handle("POST /games/{id}/resign", site.form(site.resign), chassis.MaxBody(maxForm))
	r.Handle("GET /games/{id}/replay", site.replay)
	r.Handle("GET /assets/{path...}", assets)
	return s.HTTP("http", cfg.HTTP, r)
}

// newRequestID makes the id of one wish of a player: the form that carries it may be sent twice.
func (s *site) newRequestID() string { return request.NewID(s.clock.Now(), s.rand) }

// linkTo is the address of a game for somebody else.
func (s *site) linkTo(r *http.Request, id string) string {
	base := strings.TrimSuffix(s.config.PublicURL, "/")
	if base == "" {
		base = "http://" + r.Host
		if r.TLS != nil {
			base = "https://" + r.Host
		}
	}
	return base + gamePath(id)
}

// gamePath is the path of a game's page.
func gamePath(id string) string { return "/games/" + url.PathEscape(id) }
