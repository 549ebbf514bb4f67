// A client of the game service. Its types come from the service's OpenAPI document.
import type { definitions } from "./contract.js";

export type Game = definitions["v1Game"];
export type Joined = definitions["v1JoinGameResponse"];
export type Moved = definitions["v1DropDiscResponse"];
export type Side = definitions["v1Side"];

/** What a failure says (RFC 9457), and when to ask again. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    readonly retryable: boolean,
    /** What the people who run the service find the failure by. */
    readonly id: string,
    readonly retryAfter: number | undefined,
    detail: string,
  ) {
    super(`${code} ${detail} (error id ${id})`);
  }
}

/** Sends a request with JSON, and throws what the service answers with a status of 400 and more as a Failure. */
export async function call<Answer>(method: string, url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const request: RequestInit = { method, headers, signal: AbortSignal.timeout(10_000) };
  if (body !== undefined) {
    request.headers = { ...headers, "Content-Type": "application/json" };
    request.body = JSON.stringify(body);
  }
  const response = await fetch(url, request);
  const answer: unknown = await response.json();
  if (response.ok) {
    return answer as Answer;
  }
  const problem = answer as { code?: number; detail?: string; retryable?: boolean; id?: string };
  const after = response.headers.get("Retry-After");
  throw new Failure(
    response.status,
    problem.code ?? 0,
    problem.retryable ?? false,
    problem.id ?? "",
    after === null ? undefined : Number(after),
    problem.detail ?? response.statusText,
  );
}

const attempts = 4;

/** The game service. What changes something is sent again, with the same id, when its answer was lost or may be had later. */
export class Games {
  constructor(private readonly url: string) {}

  async create(wish: definitions["v1CreateGameRequest"] = {}): Promise<Game> {
    const answer = await this.change<definitions["v1CreateGameResponse"]>("/v1/games", wish);
    return answer.game ?? {};
  }

  join(game: Game, side: Side, name: string): Promise<Joined> {
    return this.change(`/v1/games/${game.id}/join`, { side, name } satisfies definitions["GameServiceJoinGameBody"]);
  }

  drop(game: Game, seatToken: string, column: number): Promise<Moved> {
    return this.change(`/v1/games/${game.id}/drop`, { seatToken, column } satisfies definitions["GameServiceDropDiscBody"]);
  }

  async get(id: string): Promise<Game> {
    return (await call<definitions["v1GetGameResponse"]>("GET", `${this.url}/v1/games/${id}`)).game ?? {};
  }

  list(): Promise<definitions["v1ListGamesResponse"]> {
    return call("GET", `${this.url}/v1/games`);
  }

  private async change<Answer>(path: string, wish: object): Promise<Answer> {
    const body = { ...wish, requestId: crypto.randomUUID() };
    for (let attempt = 1; ; attempt++) {
      try {
        return await call<Answer>("POST", this.url + path, body);
      } catch (e) {
        const lost = !(e instanceof Failure);
        if (attempt === attempts || (!lost && !e.retryable)) {
          throw e;
        }
        const wait = (lost ? 0 : (e.retryAfter ?? 0) * 1000) + Math.random() * 50 * 2 ** attempt;
        await new Promise((resume) => setTimeout(resume, wait));
      }
    }
  }
}
