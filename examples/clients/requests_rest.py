"""REST on `requests`: the pages of one query."""

import json
import sys

import requests

_, http, _ws, key, path = sys.argv
address = f"{http}{path}"
while address:
    answer = requests.get(address, headers={"Authorization": f"Bearer {key}"}, timeout=20)
    page = answer.json()
    if answer.status_code != 200:
        print("refused", page["error"])
        break
    for row in page.get("results", ()):
        print(json.dumps(row, sort_keys=True))
    address = page.get("next_url", "")
print("end", answer.status_code)
