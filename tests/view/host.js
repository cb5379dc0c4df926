// A host in a page, as a chat program is one: the official client and the official AppBridge between our server and the
// view in a frame of another origin. A test steers it through `window.host`, and reads every message that crossed.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const APPS = "io.modelcontextprotocol/ui";
const VIEW = "ui://vidgo/picture";
const INFO = { name: "test-host", version: "1.0.0" };
const ANSWERS = {
  "ui/open-link": "onopenlink",
  "ui/download-file": "ondownloadfile",
  "ui/message": "onmessage",
  "ui/update-model-context": "onupdatemodelcontext",
};

// The process of a server over stdio, whose lines the page's own origin passes on.
class RelayedStdio {
  async start() {
    this.lines = new EventSource("/stdio");
    this.lines.onmessage = ({ data }) => this.onmessage?.(JSON.parse(data));
    await new Promise((opened) => (this.lines.onopen = opened));
  }
  async send(message) {
    await fetch("/stdio", { method: "POST", body: JSON.stringify(message) });
  }
  async close() {
    this.lines.close();
    this.onclose?.();
  }
}

// Between the bridge and the frame: writes down what crosses, and withholds what it is told to.
class Watched {
  constructor(inner, host) {
    Object.assign(this, { inner, host, held: [] });
    let hear;
    this.heard = new Promise((heard) => (hear = heard));
    inner.onmessage = (message) => {
      hear();
      host.messages.push({ from: "view", message });
      if (host.options.hold?.includes(message.method)) this.held.push(message);
      else this.onmessage?.(message);
    };
    inner.onclose = () => this.onclose?.();
    inner.onerror = (error) => host.faults.push(String(error));
  }
  start() {
    return this.inner.start();
  }
  close() {
    return this.inner.close();
  }
  async send(message) {
    this.host.messages.push({ from: "host", message });
    await this.inner.send(message);
  }
}

const within = (promise, otherwise) =>
  Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error(otherwise)), 15000))]);

const host = {
  messages: [],
  faults: [],
  bridge: null,

  // Connect to the server; the answer is the list of tools, and the resource with the view.
  async connect(options) {
    host.options = options;
    host.client = new Client(INFO, {
      capabilities: { extensions: { [APPS]: { mimeTypes: ["text/html;profile=mcp-app"] } } },
      versionNegotiation: { mode: options.url ? "auto" : "legacy" },
    });
    await host.client.connect(options.url ? new StreamableHTTPClientTransport(new URL(options.url)) : new RelayedStdio());
    host.tools = (await host.client.listTools()).tools;
    host.resource = (await host.client.readResource({ uri: VIEW })).contents[0];
  },

  // Load the view into the frame and connect the bridge to it; a tool names what the view is opened for.
  async mount(tool) {
    const { capabilities, context, refuse } = host.options;
    const frame = document.querySelector("iframe");
    await host.bridge?.close();
    const told = { toolInfo: { tool: host.tools.find(({ name }) => name === tool) }, ...context };
    const bridge = new AppBridge(host.client, INFO, capabilities, { hostContext: told });
    const initialized = new Promise((done) => bridge.addEventListener("initialized", done));
    bridge.addEventListener("sizechange", ({ height }) => (frame.style.height = `${height}px`));
    for (const [method, handler] of Object.entries(ANSWERS)) {
      bridge[handler] = async () => {
        if (refuse.includes(method)) return { isError: true };
        return {};
      };
    }
    bridge.onrequestdisplaymode = async ({ mode }) => {
      const offered = context.availableDisplayModes?.includes(mode);
      if (offered) document.body.dataset.mode = mode;
      return { mode: offered ? mode : "inline" };
    };
    const place = await fetch(`${host.options.frames}/${host.options.policy}`, { method: "POST", body: host.resource.text });
    frame.allow = host.options.allow;
    frame.src = await place.text();
    await bridge.connect(
      (host.transport = new Watched(new PostMessageTransport(frame.contentWindow, frame.contentWindow), host)),
    );
    if (refuse.includes("tools/call")) {
      bridge.oncalltool = async () => {
        throw new Error("This host lets no view call a tool.");
      };
    }
    host.bridge = bridge;
    await within(host.options.hold ? host.transport.heard : initialized, "the view said nothing");
  },

  // Call a tool as the model does, showing the view what it was called with and what came of it.
  async call(name, given) {
    await host.input(given);
    const result = await host.client.callTool({ name, arguments: given });
    await host.result(result);
    return result;
  },
  ask: (name, given) => host.client.callTool({ name, arguments: given }),
  input: (given) => host.notify("ui/notifications/tool-input", { arguments: given }),
  result: (result) => host.notify("ui/notifications/tool-result", result),
  // Past the bridge, which keeps an order and sends nothing twice; some hosts do neither.
  notify: (method, params) => host.transport.send({ jsonrpc: "2.0", method, params }),
  change: (context) => host.notify("ui/notifications/host-context-changed", context),
  request: (id, method, params = {}) => host.transport.send({ jsonrpc: "2.0", id, method, params }),
  teardown: () => host.bridge.teardownResource({}),
  // Let the bridge have what was withheld.
  release() {
    const held = host.transport.held.splice(0);
    host.options.hold = [];
    for (const message of held) host.transport.onmessage?.(message);
  },
};
window.host = host;
