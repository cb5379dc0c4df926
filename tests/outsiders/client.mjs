// An MCP client on the TypeScript SDK v1, which checks every structured answer, errors too, against the tool's output
// schema. Reads {"server": {"command", "args", "env"} or {"url"}, "calls": [...]} from stdin, makes the calls one after
// the other, and writes {"tools": [...], "answers": [{"result"} or {"thrown"}]}. A call is that of a tool, {"name",
// "arguments", "options"}, or that of another method of the client, {"method", "params"}.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const load = createRequire(join(process.env.VIDGO_MCP_NODE_HOME, "packages"));
const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = load("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const { server, calls } = JSON.parse(readFileSync(0, "utf-8"));
const transport = server.url
  ? new StreamableHTTPClientTransport(new URL(server.url))
  : new StdioClientTransport({ ...server, stderr: "inherit" });
const client = new Client({ name: "outsider", version: "1.0.0" });
await client.connect(transport);

const { tools } = await client.listTools();
const answers = [];
for (const call of calls) {
  try {
    answers.push({ result: await (call.method ? client[call.method](call.params) : client.callTool(call, undefined, call.options)) });
  } catch (error) {
    answers.push({ thrown: String(error) });
  }
}
await client.close();
process.stdout.write(JSON.stringify({ tools, answers }));
