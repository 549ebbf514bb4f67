// A stub of the game service made by a generic tool, Prism, from the OpenAPI document alone, dressed as gamefake so that
// the client suites can be run on it: it prints the same ready line and ends when its standard input closes. Of the control
// plane it has what a stub without state can do, which is to reset nothing; everything else is answered 404.
// usage: node stub.mjs PRISM DOCUMENT
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const [prism, document] = process.argv.slice(2);

async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

// Prism takes no port 0, so a free one is looked for.
const probe = createServer();
const port = await listen(probe);
probe.close();
await once(probe, "close");

const stub = spawn(process.execPath, [prism, "mock", "--host", "127.0.0.1", "--port", String(port), document], {
  stdio: ["ignore", "pipe", "inherit"],
});
const control = createServer((request, response) => {
  request.resume();
  const reset = request.method === "POST" && request.url === "/reset";
  response.writeHead(reset ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(reset ? {} : { detail: `the stub has no ${request.method} ${request.url}` }));
});
const controlPort = await listen(control);

stub.once("exit", (status, signal) => process.exit(signal === "SIGTERM" ? 0 : (status ?? 1)));
process.stdin.on("end", () => stub.kill("SIGTERM")).resume();
for await (const line of createInterface(stub.stdout)) {
  if (line.includes("is listening on")) {
    const ready = { ready: true, listeners: { http: `127.0.0.1:${port}` }, control: `127.0.0.1:${controlPort}`, pid: stub.pid };
    console.log(JSON.stringify(ready));
  }
}
