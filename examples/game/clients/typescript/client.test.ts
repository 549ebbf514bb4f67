// npm test, with GAMEFAKE the path of the fake's program: go build -o gamefake ./cmd/gamefake in examples/game.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { Failure, Games } from "./client.js";
import { Fake, type Code } from "./fake.js";

let fake: Fake;
let games: Games;

before(async () => {
  const path = process.env["GAMEFAKE"];
  assert.ok(path, "GAMEFAKE must name the program of the game's network fake");
  fake = await Fake.start(path);
  games = new Games(fake.url);
});
beforeEach(() => fake.reset());
after(() => fake.stop());

async function failure(of: Promise<unknown>): Promise<Failure> {
  try {
    await of;
  } catch (e) {
    assert.ok(e instanceof Failure, String(e));
    return e;
  }
  assert.fail("it did not fail");
}

async function twoPlayers() {
  const game = await games.create();
  const red = await games.join(game, "SIDE_RED", "ann");
  const yellow = await games.join(game, "SIDE_YELLOW", "bob");
  return { game, red: red.seatToken ?? "", yellow: yellow.seatToken ?? "" };
}

test("four in a column win", async () => {
  const { game, red, yellow } = await twoPlayers();
  for (let i = 0; i < 6; i++) {
    await games.drop(game, i % 2 === 0 ? red : yellow, i % 2);
  }
  const last = await games.drop(game, red, 0);
  assert.equal(last.game?.winner, "SIDE_RED");
  assert.equal(last.cell?.row, 3);
  assert.deepEqual(await games.get(game.id ?? ""), last.game);
});

test("every failure code arrives as what it is", async () => {
  const codes: Code[] = await fake.codes();
  assert.ok(codes.length > 20);
  for (const code of codes) {
    await fake.fail({ code: code.number, count: 1 });
    const f = await failure(games.list());
    assert.deepEqual([f.code, f.status, f.retryable], [code.number, code.http_status, code.retryable]);
    assert.match(f.id, /^[0-9A-Z]{12}$/);
  }
  assert.deepEqual((await fake.calls()).map((c) => c.code), codes.map((c) => c.number));
  assert.match(await fake.coverage(), new RegExp(`${codes.length} of ${codes.length} codes`));
});

test("a full column is refused by the game itself", async () => {
  const { game, red, yellow } = await twoPlayers();
  for (let i = 0; i < 6; i++) {
    await games.drop(game, i % 2 === 0 ? red : yellow, 3);
  }
  const f = await failure(games.drop(game, red, 3));
  assert.equal(f.code, 1042);
  assert.ok(!f.retryable);
});

for (const action of ["rst", "fin"] as const) {
  test(`an answer lost by ${action} is asked for again, and the move is made once`, async () => {
    const { game, red } = await twoPlayers();
    await fake.fail({ action, phase: "after-commit", count: 1, route: "POST /v1/games/{game_id}/drop" });
    const moved = await games.drop(game, red, 3);
    assert.deepEqual(moved.game?.moves, [3]);
    const drops = (await fake.calls()).filter((c) => c.route.endsWith("/drop"));
    assert.equal(drops.length, 2);
    assert.ok(drops[0]?.committed);
    assert.equal(drops[1]?.duplicate_of, drops[0]?.seq);
  });
}

test("a service that is busy is asked again when it says", async () => {
  await fake.fail({ code: 503, retry_after: "1s", count: 1, route: "POST /v1/games" });
  const begun = performance.now();
  await games.create();
  assert.ok(performance.now() - begun >= 1000);
  assert.deepEqual((await fake.calls()).map((c) => c.code), [503, undefined]);
});
