"""A connector's whole life through kafka-connect-py, a client that knows Kafka Connect only."""

import json
import sys
import time

import requests
from kafka_connect import KafkaConnect
from openapi_spec_validator import validate

url = sys.argv[1]
client = KafkaConnect(url)
SOURCE = {"connector.class": "FileStreamSource", "file": "test.txt", "topic": "lines", "tasks.max": "1"}


def until(what, probe):
    for _ in range(1200):
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


def is_in(state):
    status = client.get_connector_status("lines-in")
    states = [status["connector"]["state"]] + [task["state"] for task in status["tasks"]]
    return len(states) > 1 and all(each == state for each in states)


def wait_for(state):
    until(f"lines-in to be {state}", lambda: is_in(state))


assert client.get_cluster_info()["kafka_cluster_id"]
plugins = {plugin["class"]: plugin["type"] for plugin in client.list_connector_plugins()}
assert plugins["org.apache.kafka.connect.file.FileStreamSourceConnector"] == "source", plugins
assert plugins["org.apache.kafka.connect.file.FileStreamSinkConnector"] == "sink", plugins

checked = client.validate_connector_config("FileStreamSource", dict(SOURCE, name="lines-in"))
assert checked["error_count"] == 0, checked
checked = client.validate_connector_config("FileStreamSource", dict(SOURCE, name="lines-in", topic=""))
errors = {config["value"]["name"]: config["value"]["errors"] for config in checked["configs"]}
assert checked["error_count"] == 1 and errors["topic"], checked

assert client.list_connectors() == []
created = client.create_connector({"name": "lines-in", "config": SOURCE})
assert created["name"] == "lines-in" and created["type"] == "source", created
wait_for("RUNNING")
assert client.list_connectors() == ["lines-in"]
assert client.list_connectors(expand="status", state="RUNNING").keys() == {"lines-in"}
assert client.list_connectors(expand="info", pattern="lines-.*")["lines-in"]["info"]["config"]["topic"] == "lines"
assert client.get_connector("lines-in")["tasks"] == [{"connector": "lines-in", "task": 0}]
assert client.get_connector_config("lines-in")["name"] == "lines-in"
assert client.list_connector_tasks("lines-in")[0]["config"]["file"] == "test.txt"
assert client.get_connector_task_status("lines-in", 0)["state"] == "RUNNING"
until("the topic", lambda: client.list_connector_topics("lines-in") == {"lines-in": {"topics": ["lines"]}})

client.pause_connector("lines-in")
wait_for("PAUSED")
client.resume_connector("lines-in")
wait_for("RUNNING")
restarted = client.restart_connector("lines-in", include_tasks=True)
assert restarted["tasks"][0]["state"] == "RESTARTING", restarted
wait_for("RUNNING")
client.restart_connector("lines-in")
client.restart_connector_task("lines-in", 0)
wait_for("RUNNING")
updated = client.update_connector("lines-in", dict(SOURCE, **{"batch.size": "10"}))
assert updated["config"]["batch.size"] == "10", updated
wait_for("RUNNING")
client.reset_connector_topics("lines-in")
assert client.list_connector_topics("lines-in") == {"lines-in": {"topics": []}}
client.stop_connector("lines-in")
until("STOPPED", lambda: client.get_connector_status("lines-in")["connector"]["state"] == "STOPPED")
client.delete_connector("lines-in")
assert client.list_connectors() == []
try:
    client.get_connector("lines-in")
    raise AssertionError("a deleted connector was found")
except requests.exceptions.HTTPError as error:
    assert error.response.status_code == 404

document = requests.get(f"{url}/openapi.json", timeout=60).json()
validate(document)
print(json.dumps(sorted(document["paths"])))
