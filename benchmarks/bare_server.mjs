// The yardstick on Node: the smallest server on the official SDK for TypeScript, one tool that echoes, over stdio.
// Its argument is the folder that has the packages.

import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/`);
const { McpServer } = require("@modelcontextprotocol/server");
const { StdioServerTransport } = require("@modelcontextprotocol/server/stdio");
const { z } = require("zod");

const server = new McpServer({ name: "bare", version: "1" });
server.registerTool(
  "echo",
  { description: "Return the text.", inputSchema: z.object({ text: z.string() }) },
  async ({ text }) => ({ content: [{ type: "text", text }] }),
);
await server.connect(new StdioServerTransport());
