//! `/connectors/{name}/tasks` and below: a connector's tasks, one by one.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{ConfigMap, Herder, TaskId};
use serde::Serialize;

use crate::reply::{self, ApiError};

/// Connect's `TaskInfo`.
#[derive(Debug, Serialize)]
struct TaskInfo {
    id: TaskId,
    config: ConfigMap,
}

/// `GET /connectors/{name}/tasks`.
pub(crate) async fn list(
    State(herder): State<Herder>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let tasks = herder.task_configs(&name).await?;
    let rows: Vec<_> = tasks
        .into_iter()
        .map(|(id, config)| TaskInfo { id, config })
        .collect();
    Ok(reply::ok(&rows))
}

/// `GET /connectors/{name}/tasks/{task}/status`.
pub(crate) async fn status(
    State(herder): State<Herder>,
    Path((name, task)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(reply::ok(&herder.task_status(&name, number(&task)?).await?))
}

/// `POST /connectors/{name}/tasks/{task}/restart`.
pub(crate) async fn restart(
    State(herder): State<Herder>,
    Path((name, task)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    herder.restart_task(&name, number(&task)?).await?;
    Ok(reply::no_content())
}

/// A task is named by its number; anything else is no path of ours.
fn number(task: &str) -> Result<u32, ApiError> {
    task.parse().map_err(|_| ApiError::NoSuchPath)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn task_infos() {
        let id = TaskId {
            connector: "a".into(),
            task: 0,
        };
        let config = ConfigMap::from_iter([("file".to_owned(), "test.txt".to_owned())]);
        let body = serde_json::to_string(&[TaskInfo { id, config }]).unwrap();
        expect![[r#"[{"id":{"connector":"a","task":0},"config":{"file":"test.txt"}}]"#]].assert_eq(&body);
    }
}
