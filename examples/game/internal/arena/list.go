package arena

import (
	"context"
	"encoding/base64"
	"encoding/binary"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// List is the wish for a page of games.
type List struct {
	State record.State // Missing: all
	Size  int          // 0: 20
	Token string       // of the page before; empty for the first
}

// List returns a page of games, the newest first, and the token of the next page, empty when
// there is none. Every game is in it that was created before the call.
func (a *Arena) List(ctx context.Context, w List) (games []*record.Game, next string, err error) {
	if w.State > record.Over {
		return nil, "", errBadState.New()
	}
	if w.Size < 0 || w.Size > 100 {
		return nil, "", errBadPageSize.With("page_size", failure.Safe(w.Size))
	}
	if w.Size == 0 {
		w.Size = 20
	}
	before, ok := parsePage(w.Token, w.State)
	if !ok {
		return nil, "", errBadPageToken.New()
	}
	head, err := a.Journal.Head(ctx)
	if err != nil {
		return nil, "", trouble(err)
	}
	if err := a.index.wait(ctx, head); err != nil {
		return nil, "", err
	}
	rows, more := a.index.page(before, w.State, w.Size)
	for _, r := range rows {
		t, err := a.table(ctx, r.id)
		if err != nil {
			return nil, "", err
		}
		// The game may have moved on since the index was read.
		if g := t.now(); w.State == record.Missing || g.State() == w.State {
			games = append(games, g)
		}
	}
	if more {
		next = pageToken(rows[len(rows)-1].at, w.State)
	}
	return games, next, nil
}

// pageToken names the games before a position.
func pageToken(before journal.Position, state record.State) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64([]byte{byte(state)}, uint64(before)))
}

// parsePage is the reverse of pageToken; empty is the first page.
func parsePage(token string, state record.State) (before journal.Position, ok bool) {
	if token == "" {
		return 0, true
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != 9 || b[0] != byte(state) {
		return 0, false
	}
	before = journal.Position(binary.BigEndian.Uint64(b[1:]))
	return before, before > 0
}
