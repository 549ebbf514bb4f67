// The network fake of the game service, as a test suite uses it: started as a program, and steered over its
// control plane. What the control plane can do stands in its own OpenAPI document, at /openapi.json.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { call } from "./client.js";

/** A failure code that the service declares. */
export interface Code {
  number: number;
  http_status: number;
  retryable: boolean;
}

/** A call that the fake has seen. */
export interface Call {
  seq: number;
  route: string;
  committed: boolean;
  injected: boolean;
  code?: number;
  duplicate_of?: number;
}

/** What a fault does and to which calls; there is more in the document. */
export interface Fault {
  code?: number;
  retry_after?: string;
  action?: "rst" | "fin" | "truncate" | "hold";
  phase?: "before" | "after-commit" | "during-response";
  count?: number;
  route?: string;
}

export class Fake {
  private constructor(
    private readonly program: ChildProcess,
    readonly url: string,
    private readonly control: string,
  ) {}

  /** Starts the fake, which says in one line of JSON where it is. It ends with us: it sees its standard input close. */
  static async start(path: string): Promise<Fake> {
    const program = spawn(path, ["-clock", "real"], { stdio: ["pipe", "pipe", "inherit"] });
    program.once("error", (e) => {
      throw new Error(`the fake ${path} cannot be started: ${e.message}`);
    });
    const lines = createInterface(program.stdout);
    const [line] = (await once(lines, "line")) as [string];
    const ready = JSON.parse(line) as { listeners: { http: string }; control: string };
    return new Fake(program, `http://${ready.listeners.http}`, `http://${ready.control}`);
  }

  async stop(): Promise<void> {
    this.program.stdin?.end();
    const [status] = (await once(this.program, "exit")) as [number];
    if (status !== 0) {
      throw new Error(`the fake ended with status ${status}`);
    }
  }

  async reset(): Promise<void> {
    await call("POST", `${this.control}/reset`);
  }

  async codes(): Promise<Code[]> {
    return (await call<{ failures: Code[] }>("GET", `${this.control}/`)).failures;
  }

  async fail(fault: Fault): Promise<void> {
    await call("POST", `${this.control}/faults`, fault);
  }

  async calls(): Promise<Call[]> {
    return (await call<{ calls: Call[] }>("GET", `${this.control}/calls`)).calls;
  }

  /** How many of the failure codes and methods the clients of this fake have met. */
  async coverage(): Promise<string> {
    return (await call<{ text: string }>("GET", `${this.control}/coverage`)).text;
  }
}
