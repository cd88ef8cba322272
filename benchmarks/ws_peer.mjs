// A hand-written server on the `ws` library: one send a message.
// node ws_peer.mjs MESSAGES, where each message is its length (u32, little-endian) and its bytes.
import { readFileSync } from "node:fs";
import { WebSocketServer } from "ws";

const status = (status, message) => JSON.stringify([{ ev: "status", status, message }]);
const file = readFileSync(process.argv[2]);
const messages = [];
for (let at = 0; at < file.length; ) {
  const end = at + 4 + file.readUInt32LE(at);
  messages.push(file.subarray(at + 4, end));
  at = end;
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket) => {
  socket.send(status("connected", "Connected Successfully"));
  socket.on("error", () => {});
  socket.on("message", async (data) => {
    const { action, params } = JSON.parse(data);
    if (action === "auth") return socket.send(status("auth_success", "authenticated"));
    socket.send(status("success", `subscribed to: ${params.split(",").at(-1)}`));
    for (const message of messages) {
      if (socket.bufferedAmount < 65536) socket.send(message, { binary: false });
      else await new Promise((sent) => socket.send(message, { binary: false }, sent));
    }
  });
});
process.stdin.on("end", () => process.exit()).resume();
