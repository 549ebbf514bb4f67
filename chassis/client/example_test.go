package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// api calls the game service.
type api struct{ games *client.Client }

// newAPI is part of a service's Setup, which hands in its *chassis.Service.
func newAPI(s client.Host, cfg client.Config) (*api, error) {
	games, err := client.New(s, "game", cfg)
	if err != nil {
		return nil, err
	}
	return &api{games}, nil
}

// drop makes a move. The id by which the service recognises it lets the client send it again.
func (a *api) drop(ctx context.Context, game, moveID string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/v1/games/"+game+"/moves", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", moveID)
	resp, err := a.games.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		problem, _ := failure.ReadProblem(resp)
		return problem
	}
	return nil
}

func Example() {
	calls := 0
	game := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		switch calls {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			failure.WriteProblem(w, r, failure.Problem{Status: http.StatusConflict, Set: "game", Code: 1042, Title: "column is full"})
		}
	}))
	defer game.Close()
	s := &service{rand: rand.Reader, registry: prometheus.NewRegistry()}
	a, err := newAPI(s, client.Config{URL: game.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = a.drop(context.Background(), "7", "move-17")
	if p, ok := errors.AsType[*failure.Problem](err); ok && p.Set == "game" && p.Code == 1042 {
		fmt.Println(p, "after", calls, "attempts")
	}
	fmt.Println(a.drop(context.Background(), "7", "move-18"))
	// Output:
	// problem 409, game 1042: column is full after 2 attempts
	// <nil>
}
