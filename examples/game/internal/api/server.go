// Package api speaks game.v1.GameService: it turns messages into wishes for the arena and what
// comes of them into messages. It decides nothing.
package api

import (
	"context"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// Server implements gamev1.GameServiceServer on an arena. Make one with [NewServer].
type Server struct {
	gamev1.UnimplementedGameServiceServer
	games *arena.Arena
}

// NewServer returns a server for the games of an arena.
func NewServer(games *arena.Arena) *Server { return &Server{games: games} }

// CreateGame implements gamev1.GameServiceServer.
func (s *Server) CreateGame(ctx context.Context, r *gamev1.CreateGameRequest) (*gamev1.CreateGameResponse, error) {
	g, err := s.games.Create(ctx, arena.Create{
		Red: strengthOf(r.RedBot), Yellow: strengthOf(r.YellowBot), TurnLimit: limitOf(r.TurnLimit), RequestID: r.RequestId,
	})
	if err != nil {
		return nil, err
	}
	return &gamev1.CreateGameResponse{Game: game(g)}, nil
}

// JoinGame implements gamev1.GameServiceServer.
func (s *Server) JoinGame(ctx context.Context, r *gamev1.JoinGameRequest) (*gamev1.JoinGameResponse, error) {
	g, token, err := s.games.Join(ctx, arena.Join{Game: r.GameId, Side: enum[rules.Side](r.Side), Name: r.Name, RequestID: r.RequestId})
	if err != nil {
		return nil, err
	}
	joined := g.Events[len(g.Events)-1].Fact.(record.Joined)
	return &gamev1.JoinGameResponse{Game: game(g), Side: gamev1.Side(joined.Side), SeatToken: token}, nil
}

// DropDisc implements gamev1.GameServiceServer.
func (s *Server) DropDisc(ctx context.Context, r *gamev1.DropDiscRequest) (*gamev1.DropDiscResponse, error) {
	column := arena.NoColumn
	if r.Column != nil {
		column = int(*r.Column)
	}
	g, c, err := s.games.Drop(ctx, arena.Drop{Game: r.GameId, Token: r.SeatToken, Column: column, RequestID: r.RequestId})
	if err != nil {
		return nil, err
	}
	return &gamev1.DropDiscResponse{Game: game(g), Cell: cell(c)}, nil
}

// Resign implements gamev1.GameServiceServer.
func (s *Server) Resign(ctx context.Context, r *gamev1.ResignRequest) (*gamev1.ResignResponse, error) {
	g, err := s.games.Resign(ctx, arena.Resign{Game: r.GameId, Token: r.SeatToken, RequestID: r.RequestId})
	if err != nil {
		return nil, err
	}
	return &gamev1.ResignResponse{Game: game(g)}, nil
}

// GetGame implements gamev1.GameServiceServer.
func (s *Server) GetGame(ctx context.Context, r *gamev1.GetGameRequest) (*gamev1.GetGameResponse, error) {
	g, err := s.games.Game(ctx, r.GameId)
	if err != nil {
		return nil, err
	}
	return &gamev1.GetGameResponse{Game: game(g)}, nil
}

// ListGames implements gamev1.GameServiceServer.
func (s *Server) ListGames(ctx context.Context, r *gamev1.ListGamesRequest) (*gamev1.ListGamesResponse, error) {
	games, next, err := s.games.List(ctx, arena.List{State: enum[record.State](r.State), Size: int(r.PageSize), Token: r.PageToken})
	if err != nil {
		return nil, err
	}
	page := &gamev1.ListGamesResponse{NextPageToken: next}
	for _, g := range games {
		page.Games = append(page.Games, game(g))
	}
	return page, nil
}

// WatchGame implements gamev1.GameServiceServer. While the service drains it ends with
// failure.Draining, so that the client continues elsewhere.
func (s *Server) WatchGame(r *gamev1.WatchGameRequest, stream grpc.ServerStreamingServer[gamev1.WatchGameResponse]) error {
	ctx := stream.Context()
	w, err := s.games.Watch(ctx, r.GameId, journal.Position(r.AfterPosition))
	if err != nil {
		return err
	}
	defer w.Close()
	// The client learns at once that it is watching, even where nothing happens.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		events, more := w.Next()
		for _, e := range events {
			if err := stream.Send(&gamev1.WatchGameResponse{Event: Event(e)}); err != nil {
				return err
			}
		}
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		case <-chassis.Draining(ctx):
			return failure.Draining.New()
		}
	}
}
