"""A bot on `websocket-client`."""

import json
import struct
import sys

import websocket

_, _http, ws, key, channels = sys.argv
socket = websocket.create_connection(f"{ws}/stocks")
socket.send(json.dumps({"action": "auth", "params": key}))
try:
    while True:
        opcode, data = socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            print("end", struct.unpack("!H", data[:2])[0] if data else "lost")
            break
        for event in json.loads(data):
            if event["ev"] != "status":
                print(json.dumps(event, sort_keys=True))
            elif event["status"] == "auth_success":
                socket.send(json.dumps({"action": "subscribe", "params": channels}))
            elif event["status"] == "auth_failed":
                print("refused", event["message"])
except (websocket.WebSocketConnectionClosedException, ConnectionError):
    print("end", "lost")
