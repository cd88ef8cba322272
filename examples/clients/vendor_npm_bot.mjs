// A bot on the vendor's npm client, `@polygon.io/client-js`.
import { websocketClient } from "@polygon.io/client-js";

const [, , http, address, key, channels] = process.argv;
const sorted = (value) =>
  Array.isArray(value) ? value.map(sorted) : value && typeof value === "object"
    ? Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])])) : value;

const socket = websocketClient(key, address).stocks();
socket.onmessage = ({ data }) => {
  for (const event of JSON.parse(data)) {
    if (event.ev !== "status") console.log(JSON.stringify(sorted(event)));
    else if (event.status === "auth_success") socket.send(JSON.stringify({ action: "subscribe", params: channels }));
    else if (event.status === "auth_failed") console.log("refused", event.message);
  }
};
socket.onerror = () => {};
socket.onclose = ({ code }) => { console.log("end", code === 1006 ? "lost" : code); };
