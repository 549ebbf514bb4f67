package arena

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// crockford is Douglas Crockford's base 32 in lower case: no letters that are mistaken for
// digits.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// idBytes is how much chance is in a game's id, and how long a hash of a request id is.
const idBytes = 16

// key is the secret of a journal. Seat tokens, and the ids of games made with a request id, are
// derived from it, so that every process and every repetition arrives at the same ones and
// nobody without it does.
type key []byte

// Where the key is kept.
const (
	keyStream = "key"
	keyType   = "made"
)

type storedKey struct {
	Version int    `json:"v"`
	Key     []byte `json:"key"`
}

// readKey is the journal's key, made now if this is its first arena.
func readKey(ctx context.Context, j journal.Journal, random io.Reader) (key, error) {
	k, err := findKey(ctx, j)
	if err != nil || k != nil {
		return k, err
	}
	secret := make([]byte, 32)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, fmt.Errorf("make the journal's key: read randomness: %w", err)
	}
	data, err := json.Marshal(storedKey{1, secret})
	if err != nil {
		return nil, fmt.Errorf("make the journal's key: %w", err)
	}
	_, err = j.Append(ctx, keyStream, journal.NoStream, journal.Event{Type: keyType, Data: data})
	var conflict *journal.ConflictError
	if errors.As(err, &conflict) {
		return findKey(ctx, j) // another process was faster
	}
	if err != nil {
		return nil, fmt.Errorf("make the journal's key: %w", err)
	}
	return secret, nil
}

// findKey is the journal's key, nil when it has none.
func findKey(ctx context.Context, j journal.Journal) (key, error) {
	for e, err := range j.Read(ctx, keyStream, 0) {
		var s storedKey
		if err == nil {
			err = json.Unmarshal(e.Data, &s)
		}
		if err == nil && (s.Version != 1 || len(s.Key) < 16) {
			err = fmt.Errorf("it has version %d and %d bytes; this release knows version 1", s.Version, len(s.Key))
		}
		if err != nil {
			return nil, fmt.Errorf("read the journal's key: %w", err)
		}
		return s.Key, nil
	}
	return nil, nil
}

// derive is a secret for a purpose. Parts hold no zero bytes before the last one.
func (k key) derive(n int, parts ...string) string {
	h := hmac.New(sha256.New, k)
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return crockford.EncodeToString(h.Sum(nil)[:n])
}

// token is what proves a seat.
func (k key) token(game string, side rules.Side) string {
	return k.derive(20, "seat", game, side.String())
}

// Token is what proves a seat in a game of a journal that an arena was opened on. It is for tests that
// put games into a journal by their events.
func Token(ctx context.Context, j journal.Journal, game string, side rules.Side) (string, error) {
	k, err := findKey(ctx, j)
	if err == nil && k == nil {
		err = errors.New("the journal has no key: no arena was opened on it")
	}
	if err != nil {
		return "", err
	}
	return k.token(game, side), nil
}

// seat is the side that a token is for.
func (a *Arena) seat(g *record.Game, token string) (rules.Side, error) {
	if token == "" {
		return rules.None, errNoToken.New()
	}
	for _, side := range []rules.Side{rules.Red, rules.Yellow} {
		if s := g.Seat(side); s.Bot == 0 && s.Taken() && hmac.Equal([]byte(token), []byte(a.key.token(g.ID, side))) {
			return side, nil
		}
	}
	return rules.None, errWrongToken.New()
}

// gameID is the id of a new game: by chance, or by the request that wishes for it.
func (a *Arena) gameID(request string) (string, error) {
	if request != "" {
		return a.key.derive(idBytes, "game", request), nil
	}
	return a.chance()
}

// eventID is the id of the event that a wish makes.
func (a *Arena) eventID(request string) (string, error) {
	if err := checkRequestID(request); err != nil {
		return "", err
	}
	if request != "" {
		return "request." + a.key.derive(idBytes, "request", request), nil
	}
	id, err := a.chance()
	return "once." + id, err
}

// chance is an id that nobody can guess.
func (a *Arena) chance() (string, error) {
	var b [idBytes]byte
	if _, err := io.ReadFull(a.Rand, b[:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}
	return crockford.EncodeToString(b[:]), nil
}

// validID reports whether a game can have an id.
func validID(id string) bool {
	if len(id) != crockford.EncodedLen(idBytes) {
		return false
	}
	_, err := crockford.DecodeString(id)
	return err == nil
}
