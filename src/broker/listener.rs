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
    while let Some(accepted) = cancelled.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed; tried again");
                cancelled
                    .run_until_cancelled(tokio::time::sleep(ACCEPT_RETRY))
                    .await;
                continue;
            }
        };
        let admission = match core.connections.admit(peer.ip()) {
            Ok(admission) => admission,
            Err(limit) => {
                tracing::warn!(%peer, limit, "connection refused: the limit is reached");
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "connection ended while it was accepted");
            continue;
        }
        group.spawn(
            "connection",
            connection::run(stream, peer, Arc::clone(&core), admission),
        );
    }
}
