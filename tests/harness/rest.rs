//! Connect's REST API as a client sees it: status code and JSON body.

use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

use super::wait;

/// The REST API of one worker.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub(crate) port: u16,
    base: String,
    agent: Agent,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    /// `Null` when there was no body.
    pub(crate) body: Value,
}

impl Rest {
    pub(crate) fn new(port: u16) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self {
            port,
            base: format!("http://127.0.0.1:{port}"),
            agent: Agent::new_with_config(config),
        }
    }

    /// Any method; a body is sent as JSON.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&str>) -> Result<Answer, ureq::Error> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        let response = match body {
            Some(body) => {
                let request = request
                    .header("content-type", "application/json")
                    .body(body.to_owned())
                    .unwrap();
                self.agent.run(request)?
            }
            None => self.agent.run(request.body(()).unwrap())?,
        };
        Answer::read(response)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(&body.to_string())).unwrap()
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(&body.to_string())).unwrap()
    }

    /// PUT or POST without a body.
    pub(crate) fn bare(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, None).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).unwrap()
    }

    /// Waits until the API answers at all.
    pub(crate) fn wait_until_up(&self, mut alive: impl FnMut()) {
        wait::until("REST to answer", || {
            alive();
            self.send("GET", "/", None)
                .ok()
                .filter(|answer| answer.status == 200)
        });
    }

    /// Waits until a connector and all its tasks (at least one unless `state` is STOPPED) are in `state`.
    pub(crate) fn wait_for_state(&self, connector: &str, state: &str) {
        wait::until(&format!("connector {connector} to be {state}"), || {
            let answer = self.get(&format!("/connectors/{connector}/status"));
            let tasks = answer.body["tasks"].as_array()?;
            let enough = state == "STOPPED" || !tasks.is_empty();
            let all = tasks.iter().all(|task| task["state"] == state);
            (answer.body["connector"]["state"] == state && enough && all).then_some(())
        });
    }
}

impl Answer {
    fn read(mut response: Response<Body>) -> Result<Self, ureq::Error> {
        let status = response.status().as_u16();
        let location = response
            .headers()
            .get("location")
            .map(|value| value.to_str().expect("an ASCII location").to_owned());
        let text = response.body_mut().read_to_string()?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Ok(Self {
            status,
            location,
            body,
        })
    }
}
