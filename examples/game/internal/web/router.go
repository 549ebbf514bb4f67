// Package web is the game service over HTTP: the methods of game.v1.GameService as JSON, watching
// as Server-Sent Events, the OpenAPI document, and a page that says where all this is.
package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/gateway"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
)

// Options are what the service is built on. All fields are needed.
type Options struct {
	Server  gamev1.GameServiceServer // answers the JSON methods
	Games   *arena.Arena             // what is watched
	Clock   clock.Clock              // of the streams' heartbeats
	OpenAPI []byte                   // the document
}

// methods are the methods of the contract, as in proto/game/v1/http.yaml.
var methods = []gateway.Method{
	{Pattern: "POST /v1/games", Request: (*gamev1.CreateGameRequest)(nil)},
	{Pattern: "GET /v1/games", Request: (*gamev1.ListGamesRequest)(nil)},
	{Pattern: "GET /v1/games/{game_id}", Request: (*gamev1.GetGameRequest)(nil)},
	{Pattern: "POST /v1/games/{game_id}/join", Request: (*gamev1.JoinGameRequest)(nil)},
	{Pattern: "POST /v1/games/{game_id}/drop", Request: (*gamev1.DropDiscRequest)(nil)},
	{Pattern: "POST /v1/games/{game_id}/resign", Request: (*gamev1.ResignRequest)(nil)},
}

// NewRouter returns the routes of the service.
func NewRouter(ctx context.Context, o Options) (*chassis.Router, error) {
	r := chassis.NewRouter()
	err := gateway.Mount(r, methods, func(mux *runtime.ServeMux) error {
		return gamev1.RegisterGameServiceHandlerServer(ctx, mux, o.Server)
	})
	if err != nil {
		return nil, err
	}
	r.Handle("GET /v1/games/{game_id}/events", events(o.Games, o.Clock), chassis.Stream())
	r.Handle("GET /openapi.json", func(w http.ResponseWriter, req *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(o.OpenAPI))
		return nil
	})
	r.Handle("GET /{$}", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, err := io.WriteString(w, index)
		return err
	})
	return r, nil
}

const index = `Connect Four, as a service.

GET  /v1/games                   the games, the newest first
POST /v1/games                   make one: {"yellowBot": {"strength": "STRENGTH_EASY"}}
GET  /v1/games/{game_id}         one game
POST /v1/games/{game_id}/join    take a seat: {"name": "Ann"}; keep the seatToken
POST /v1/games/{game_id}/drop    move: {"seatToken": "…", "column": 3}
POST /v1/games/{game_id}/resign  give up: {"seatToken": "…"}
GET  /v1/games/{game_id}/events  watch: Server-Sent Events, from ?after_position= on
GET  /openapi.json               all of it for machines
`
