// The checks of MCPJam for servers with MCP Apps. Reads how to reach the server from stdin, and writes the result.
import { createRequire, registerHooks } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// It was made for a client that no longer is; the folder has that one too, under another name.
const THEIRS = "@modelcontextprotocol/client";
process.env.DO_NOT_TRACK = "1"; // else it tells its makers of each run
registerHooks({ resolve: (name, context, next) => next(name === THEIRS ? "mcpjam-client" : name, context) });

const load = createRequire(join(process.env.VIDGO_MCP_NODE_HOME, "packages"));
const { MCPAppsConformanceTest } = await import(pathToFileURL(load.resolve("@mcpjam/sdk")));
const result = await new MCPAppsConformanceTest(JSON.parse(readFileSync(0, "utf-8"))).run();
process.stdout.write(JSON.stringify(result), () => process.exit(0));
