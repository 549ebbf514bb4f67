package game_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

func TestAFailureOfTheServiceIsReportedToSentry(t *testing.T) {
	fake := sentryfake.Start(t, sentryfake.Options{})
	s := start(t, func(_ *chassis.Settings, cfg *game.Config) {
		cfg.Limits.OpenGames = 1
		cfg.Sentry.DSN = config.NewSecret(fake.DSN())
		cfg.Sentry.Spool = filepath.Join(t.TempDir(), "sentry.spool")
	})
	if _, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{}); err == nil {
		t.Fatal("two games are open where one is allowed")
	}
	if err := fake.Wait(s.ctx, 1); err != nil {
		t.Fatal(err)
	}
	event := fake.Events()[0]
	if event.Code() != 1020 || event.Count() != 1 || event.Tags["service"] != "game" {
		t.Errorf("the event has code %d, count %d, tags %v", event.Code(), event.Count(), event.Tags)
	}
	if place := event.Fingerprint[2]; !strings.Contains(place, "arena") {
		t.Errorf("the failure is said to be made at %s", place)
	}
}
