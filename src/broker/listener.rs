//! Accepts connections.

use std::{sync::Arc, time::Duration};

use jackfield_tasks::TaskGroup;
use tokio::net::TcpListener;

use crate::{broker::Core, connection};

/// Pause after a failed accept (the process may be out of file descriptors).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Accepts until the group is cancelled.
pub(crate) async fn run(listener: TcpListener, core: Arc<Core>, group: TaskGroup) {
    let cancelled = group.cancelled();
    loop {
        let accepted = tokio::select! {
            () = cancelled.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(permit) = core.connections.admit() else {
                    tracing::warn!(%peer, "connection refused: max.connections is reached");
                    continue;
                };
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "connection ended while it was accepted");
                    continue;
                }
                let task = connection::run(stream, peer, Arc::clone(&core), cancelled.clone(), permit);
                group.spawn("connection", task);
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed; tried again");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
