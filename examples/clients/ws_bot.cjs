// A bot on Node's `ws`.
const [, , http, address, key, channels] = process.argv;
const WebSocket = require("ws");
const sorted = (value) =>
  Array.isArray(value) ? value.map(sorted) : value && typeof value === "object"
    ? Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])])) : value;

const socket = new WebSocket(`${address}/stocks`);
socket.on("open", () => socket.send(JSON.stringify({ action: "auth", params: key })));
socket.on("message", (data) => {
  for (const event of JSON.parse(data)) {
    if (event.ev !== "status") console.log(JSON.stringify(sorted(event)));
    else if (event.status === "auth_success") socket.send(JSON.stringify({ action: "subscribe", params: channels }));
    else if (event.status === "auth_failed") console.log("refused", event.message);
  }
});
socket.on("error", () => {});
socket.on("close", (code) => console.log("end", code === 1006 ? "lost" : code));
