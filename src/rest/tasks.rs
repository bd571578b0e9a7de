//! `/connectors/{connector}/tasks` and below: a connector's tasks, one by one.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{ConfigMap, Herder, StateInfo, TaskId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::reply::{self, ApiError};

/// Connect's `TaskInfo`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskInfo {
    id: TaskId,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    config: ConfigMap,
}

/// The tasks of a connector and their configs
#[utoipa::path(get, path = "/connectors/{connector}/tasks", tag = "tasks", operation_id = "getTaskConfigs",
    params(("connector" = String, Path)),
    responses((status = 200, description = "in order", body = Vec<TaskInfo>)))]
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

/// The state of a task
#[utoipa::path(get, path = "/connectors/{connector}/tasks/{task}/status", tag = "tasks", operation_id = "getTaskStatus",
    params(("connector" = String, Path), ("task" = i32, Path)),
    responses((status = 200, description = "its state", body = StateInfo)))]
pub(crate) async fn status(
    State(herder): State<Herder>,
    Path((name, task)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let task = number(&task)?;
    let known = u32::try_from(task);
    let known = known.map_err(|_| ApiError::NotFound(format!("No status found for task {name}-{task}")))?;
    Ok(reply::ok(&herder.task_status(&name, known).await?))
}

/// Restarts a task
#[utoipa::path(post, path = "/connectors/{connector}/tasks/{task}/restart", tag = "tasks", operation_id = "restartTask",
    params(("connector" = String, Path), ("task" = i32, Path)),
    responses((status = 204, description = "done")))]
pub(crate) async fn restart(
    State(herder): State<Herder>,
    Path((name, task)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let task = number(&task)?;
    let known = u32::try_from(task);
    let known = known.map_err(|_| ApiError::NotFound(format!("Unknown task: {name}-{task}")))?;
    herder.restart_task(&name, known).await?;
    Ok(reply::no_content())
}

/// A task is named by its number; anything else is no path of ours.
fn number(task: &str) -> Result<i32, ApiError> {
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
